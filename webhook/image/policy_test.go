package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newPolicy returns the policy that these flags set.
func newPolicy(t testing.TB, tags, exempt, rules string) Policy {
	t.Helper()
	disallowed, err := ParseTags(tags)
	if err != nil {
		t.Fatal(err)
	}
	patterns, err := ParsePatterns(exempt)
	if err != nil {
		t.Fatal(err)
	}
	return Policy{Disallowed: disallowed, Exempt: patterns, Mirrors: mustMirrors(t, rules)}
}

func TestCheckReturnsDisallowedTags(t *testing.T) {
	const busybox = "docker.io/library/busybox,quay.io/team"
	latest, implied := Violation{Rule: RuleTag, Tag: "latest"}, Violation{Rule: RuleNoTag, Tag: "latest"}
	none := Violation{}
	tests := []struct {
		name   string
		tags   string
		exempt string
		in     string
		want   Violation // the zero value: allowed
	}{
		{"fixed tag", "latest", "", "nginx:1.25", none},
		{"latest", "latest", "", "nginx:latest", latest},
		{"untagged", "latest", "", "nginx", implied},
		{"untagged, with a port", "latest", "", "registry:5000/app", implied},
		{"tags are case-sensitive", "latest", "", "nginx:LATEST", none},
		{"a tag that only begins like it", "latest", "", "nginx:latest-alpine", none},
		{"digest", "latest", "", "nginx@" + sha256Ref, none},
		{"latest with a digest", "latest", "", "nginx:latest@" + sha256Ref, none},

		{"one of several", "latest,dev,edge", "", "nginx:edge", Violation{Rule: RuleTag, Tag: "edge"}},
		{"none of several", "latest,dev,edge", "", "nginx:1", none},
		{"untagged is latest, which is allowed", "dev", "", "nginx", none},
		{"no tags are disallowed", "", "", "nginx:latest", none},

		{"exempt image", "latest", busybox, "busybox", none},
		{"exempt image, written in full", "latest", busybox, "docker.io/library/busybox:latest", none},
		{"exempt image, as it is mirrored", "latest", busybox, "docker.mirror.example/library/busybox:latest", none},
		{"exempt path", "latest", busybox, "quay.io/team/app", none},
		{"exempt path in another spelling", "latest", busybox, "QUAY.IO:443/team/app", none},
		{"exempt path itself", "latest", busybox, "quay.io/team:latest", none},
		{"beside the exempt path", "latest", busybox, "quay.io/teams/app:latest", latest},
		{"beside the exempt image", "latest", busybox, "busyboxes:latest", latest},
		{"exempt mirror, before an image is there", "latest", "docker.mirror.example/library/nginx", "nginx", none},
		{"exempt mirror", "latest", "docker.mirror.example", "docker.mirror.example/library/nginx", none},
		{"another image of the exempt mirror's registry", "latest", "docker.mirror.example/bitnami", "nginx:latest", latest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Violation{}
			policy := newPolicy(t, tt.tags, tt.exempt, exampleRules)
			for _, got = range policy.Check(mustParse(t, tt.in)) {
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateRefusesExemptionsBehindTheWildcard(t *testing.T) {
	tests := []struct {
		name   string
		rules  string
		exempt string
		want   string
	}{
		{"no wildcard", exampleRules, "docker.io/library/busybox,gcr.io/team", ""},
		{"a rule of its own beside the wildcard", "*=m.example/all,gcr.io=m.example/gcr", "gcr.io/team", ""},
		{"excluded from the wildcard", "*=m.example/all,gcr.io/team=", "gcr.io/team", ""},
		{"by its name on the mirror", "*=m.example/all", "m.example/all/team", ""},
		{"the wildcard excludes", "*=", "gcr.io/team", ""},
		{
			"sent by the wildcard", "*=m.example/all", "m.example,gcr.io/team",
			`image pattern "gcr.io/team" cannot match mirrored images, because mirror rule "*=m.example/all" does not keep the registry in their names: add a mirror rule for gcr.io, or use the names of the images on the mirror`,
		},
		{
			"sent by the wildcard, except for a path", "*=m.example/all,gcr.io/team=m.example/team", "gcr.io",
			`image pattern "gcr.io" cannot match mirrored images, because mirror rule "*=m.example/all" does not keep the registry in their names: add a mirror rule for gcr.io, or use the names of the images on the mirror`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := newPolicy(t, "latest", tt.exempt, tt.rules)
			err := policy.Validate()
			if diff := cmp.Diff(tt.want, errorText(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTagsAndPatterns(t *testing.T) {
	tags := func(s string) (string, error) { l, err := ParseTags(s); return l.String(), err }
	patterns := func(s string) (string, error) { l, err := ParsePatterns(s); return l.String(), err }
	const (
		tagHint      = ": use the tag alone, such as latest: at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or a dash; * matches any characters"
		patternHint  = "use REGISTRY[/PATH], such as quay.io/team or docker.io/library/busybox; "
		registryHint = patternHint + "a registry is HOST[:PORT] with a dot or a port, or localhost"
		pathHint     = patternHint + "a path is lower-case components separated by single slashes, without tag and digest"
	)
	tests := []struct {
		parse func(string) (string, error)
		in    string
		want  string // the list in its normalized form
		err   string
	}{
		{tags, "", "", ""},
		{tags, " latest , Dev_1.x", "latest,Dev_1.x", ""},
		{tags, "latest,,dev", "", `tag 2 of "latest,,dev" is empty: remove the spare comma`},
		{tags, "nginx:latest", "", `invalid tag "nginx:latest"` + tagHint},
		{tags, ":latest", "", `invalid tag ":latest"` + tagHint},
		{tags, "a/b", "", `invalid tag "a/b"` + tagHint},
		{tags, "-dev", "", `invalid tag "-dev"` + tagHint},
		{tags, "*", "", `invalid tag "*": it matches every tag: to require digests, use the field requireDigest of a policy file`},
		{tags, "a**b", "", `invalid tag "a**b": use one asterisk instead of two`},
		{tags, "-*", "", `invalid tag "-*"` + tagHint},
		{tags, "a*/b", "", `invalid tag "a*/b"` + tagHint},
		{tags, "*-snapshot,dev-*,*rc*", "*-snapshot,dev-*,*rc*", ""},
		{tags, "x@" + sha256Ref, "", `invalid tag "x@` + sha256Ref + `"` + tagHint},
		{tags, strings.Repeat("a", 129), "", `invalid tag "` + strings.Repeat("a", 129) + `"` + tagHint},

		{patterns, "", "", ""},
		{patterns, "quay.io, index.docker.io/library/busybox", "quay.io,docker.io/library/busybox", ""},
		{patterns, "host:5000/a/b", "host:5000/a/b", ""},
		{patterns, "quay.io,", "", `image pattern 2 of "quay.io," is empty: remove the spare comma`},
		{patterns, "busybox", "", `image pattern "busybox" has no registry: ` + registryHint},
		{patterns, "library/busybox", "", `image pattern "library/busybox" has no registry: ` + registryHint},
		{patterns, "quay.io/", "", `image pattern "quay.io/" has an invalid path: ` + pathHint},
		{patterns, "quay.io/app:1", "", `image pattern "quay.io/app:1" has an invalid path: ` + pathHint},
		{patterns, "quay.io/app@" + sha256Ref, "", `image pattern "quay.io/app@` + sha256Ref + `" has an invalid path: ` + pathHint},
		{patterns, "quay.io/team*", "", `image pattern "quay.io/team*" has an invalid path: ` + pathHint},
		{patterns, "*", "", `image pattern "*" would exempt every image: name registries or paths`},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := tt.parse(tt.in)
			if got != tt.want {
				t.Errorf("read as %q, want %q", got, tt.want)
			}
			if got := errorText(err); got != tt.err {
				t.Errorf("error %s, want %s", got, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
