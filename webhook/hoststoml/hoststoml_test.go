package hoststoml

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/image"
)

const version = "0123456789ab"

func mirrors(t *testing.T, rules string) image.Mirrors {
	t.Helper()
	m, err := image.ParseMirrors(rules)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// body returns a file without its head.
func body(t *testing.T, file File) string {
	t.Helper()
	if !generator.Wrote(file.Content) || !strings.Contains(file.Content, version) {
		t.Errorf("the head of %s says nothing about its origin:\n%s", file.Directory, file.Content)
	}
	_, body, _ := strings.Cut(file.Content, "\n\n")
	return body
}

func TestFilesHaveTheOriginAndTheMirror(t *testing.T) {
	const (
		quay    = "server = \"https://quay.io\"\n"
		mExact  = "\n[host.\"https://m.example\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
		mPath   = "\n[host.\"https://m.example/v2/quay\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n"
		mOrigin = "server = \"https://m.example\"\n"
	)
	for _, tt := range []struct {
		rules string
		want  map[string]string // body by directory
	}{
		{"quay.io=m.example", map[string]string{"quay.io": quay + mExact, "quay.io_443_": quay + mExact}},
		{"QUAY.IO:443=M.example:0443", map[string]string{"quay.io": quay + mExact, "quay.io_443_": quay + mExact}},
		{"quay.io=m.example/quay", map[string]string{"quay.io": quay + mPath, "quay.io_443_": quay + mPath}},
		{"quay.io:5000=m.example", map[string]string{"quay.io_5000_": "server = \"https://quay.io:5000\"\n" + mExact}},
		{"index.docker.io=m.example", map[string]string{
			"docker.io":      "server = \"https://registry-1.docker.io\"\n" + mExact,
			"docker.io_443_": "server = \"https://registry-1.docker.io\"\n" + mExact,
		}},
		{"quay.io:5000=docker.io/quay", map[string]string{
			"quay.io_5000_": "server = \"https://quay.io:5000\"\n\n[host.\"https://registry-1.docker.io/v2/quay\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n",
		}},
		{"quay.io=", map[string]string{"quay.io": quay, "quay.io_443_": quay}},
		{"*=m.example,quay.io:5000=", map[string]string{
			"_default": mExact, "quay.io_5000_": "server = \"https://quay.io:5000\"\n", "m.example": mOrigin, "m.example_443_": mOrigin,
		}},
		{"*=m.example:5000,localhost:5000=", map[string]string{
			"_default":        "\n[host.\"https://m.example:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
			"m.example_5000_": "server = \"https://m.example:5000\"\n",
			"localhost_5000_": "",
		}},
		{"quay.io:5000=localhost:5000", map[string]string{
			"quay.io_5000_": "server = \"https://quay.io:5000\"\n\n[host.\"http://localhost:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n  skip_verify = true\n",
		}},
		{"[fd00::1]:5000=m.example", map[string]string{"[fd00::1]_5000_": "server = \"https://[fd00::1]:5000\"\n" + mExact}},
		// Rules for paths that change nothing.
		{"quay.io:5000=m.example,quay.io:5000/team=m.example/team", map[string]string{"quay.io_5000_": "server = \"https://quay.io:5000\"\n" + mExact}},
		{"quay.io:5000/team=,ghcr.io:5000=m.example", map[string]string{"ghcr.io_5000_": "server = \"https://ghcr.io:5000\"\n" + mExact}},
		{"quay.io:5000=,quay.io:5000/team=", map[string]string{"quay.io_5000_": "server = \"https://quay.io:5000\"\n"}},
		{"*=,quay.io:5000=m.example", map[string]string{"quay.io_5000_": "server = \"https://quay.io:5000\"\n" + mExact}},
		{"*=m.example:5000,quay.io/team=m.example:5000/team,m.example:5000/old=", map[string]string{
			"_default":        "\n[host.\"https://m.example:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
			"m.example_5000_": "server = \"https://m.example:5000\"\n",
		}},
	} {
		files, err := Files(mirrors(t, tt.rules), version)
		if err != nil {
			t.Errorf("%s: %v", tt.rules, err)
			continue
		}
		got := map[string]string{}
		for _, file := range files {
			got[file.Directory] = body(t, file)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.rules, diff)
		}
	}
}

func TestHeadNamesTheSource(t *testing.T) {
	for version, want := range map[string]string{
		version: "# Written by kubectl image-webhook policy --hosts-toml from version 0123456789ab of a policy file.\n# Do not edit. Checksum of the lines below: ",
		"":      "# Written by kubectl image-webhook policy --hosts-toml from flags.\n# Do not edit. Checksum of the lines below: ",
	} {
		files, err := Files(mirrors(t, "quay.io=m.example"), version)
		if err != nil {
			t.Fatal(err)
		}
		if got := files[0].Content; !strings.HasPrefix(got, want) || !generator.Wrote(got) {
			t.Errorf("%s begins with\n%s, want\n%s", files[0].Path(), got, want)
		}
	}
}

func TestFilesAreDeterministic(t *testing.T) {
	rules := mirrors(t, "*=m.example/all,docker.io=m.example/hub,quay.io=,ghcr.io:5000=n.example")
	want, err := Files(rules, version)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got, err := Files(rules, version)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("files (-first +next):\n%s", diff)
		}
	}
}

func TestRulesThatContainerdCannotApplyAreRefused(t *testing.T) {
	const path = "is not possible in hosts.toml: containerd chooses a mirror by the registry, and not by the path: "
	for _, tt := range []struct{ rules, want string }{
		{"docker.io/bitnami=m.example/bitnami", `mirror rule "docker.io/bitnami=m.example/bitnami" ` + path + "use one mirror for all of docker.io, or let the webhook mirror"},
		{"docker.io=m.example,docker.io/bitnami=n.example", `mirror rule "docker.io/bitnami=n.example" ` + path + "use one mirror for all of docker.io, or let the webhook mirror"},
		{"docker.io=m.example,docker.io/bitnami=m.example", `mirror rule "docker.io/bitnami=m.example" ` + path + "use one mirror for all of docker.io, or let the webhook mirror"},
		{"quay.io=m.example,quay.io/team=", `mirror rule "quay.io/team=" ` + path + `exclude the whole registry with "quay.io=", or let the webhook mirror`},
		{"*=m.example,quay.io/team=", `mirror rule "quay.io/team=" ` + path + `exclude the whole registry with "quay.io=", or let the webhook mirror`},
		{"*=m.example,quay.io/team=m.example/quay", `mirror rule "quay.io/team=m.example/quay" ` + path + "use one mirror for all of quay.io, or let the webhook mirror"},
		{"*=m.example/all,m.example/old=m.example/new", `mirror rule "m.example/old=m.example/new" ` + path + "use one mirror for all of m.example, or let the webhook mirror"},
		{"", "no mirror rule for a registry: add mirrors to the policy"},
		{"*=", "no mirror rule for a registry: add mirrors to the policy"},
	} {
		files, err := Files(mirrors(t, tt.rules), version)
		if err == nil || err.Error() != tt.want || files != nil {
			t.Errorf("%s: got %v and the error %v, want %s", tt.rules, files, err, tt.want)
		}
	}
}
