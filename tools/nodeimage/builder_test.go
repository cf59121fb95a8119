package nodeimage

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// kindFiles returns the directory of kind's base image in the module cache. The tests use
// the real files, so that a change in a new version of kind makes them fail.
func kindFiles(t *testing.T) string {
	t.Helper()
	dir, err := subprocess.Command{Args: []string{"go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"}}.Output(t.Context())
	if err != nil || dir == "" {
		t.Fatalf("kind's module is not downloaded: %v", err)
	}
	return filepath.Join(dir, "images", "base", "files")
}

func TestWriteKindFilesKeepsModesAndAdaptsUnits(t *testing.T) {
	to := t.TempDir()
	if err := writeKindFiles(kindFiles(t), to); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{
		"usr/local/bin/entrypoint":                    0o755,
		"kind/bin/mount-product-files.sh":             0o755,
		"etc/systemd/system/kubelet.service":          0o644,
		"etc/systemd/system/containerd.service":       0o644,
		"etc/sysctl.d/10-network-security.conf":       0o644,
		"etc/systemd/system/undo-mount-hacks.service": 0o644,
	} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	unit, err := os.ReadFile(filepath.Join(to, "etc/systemd/system/containerd.service"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(unit), "OOMScoreAdjust") || !strings.Contains(string(unit), "ExecStart=/usr/local/bin/containerd") {
		t.Errorf("containerd.service differs from the expected unit:\n%s", unit)
	}
}

func TestAdaptContainerdAddsOnlyTheSettings(t *testing.T) {
	original, err := os.ReadFile(filepath.Join(kindFiles(t), "etc/containerd/config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	adapted, err := adaptContainerd(original)
	if err != nil {
		t.Fatal(err)
	}
	decode := func(content []byte) map[string]any {
		var config map[string]any
		if err := toml.Unmarshal(content, &config); err != nil {
			t.Fatal(err)
		}
		return config
	}
	want := decode(original)
	cri := want["plugins"].(map[string]any)[criPlugin].(map[string]any)
	cri["restrict_oom_score_adj"] = true
	cri["cni"] = map[string]any{"conf_template": cniTemplatePath}
	if diff := cmp.Diff(want, decode(adapted)); diff != "" {
		t.Errorf("configuration differs (-want +got):\n%s", diff)
	}
}

func TestNodeImageHasAllCompiledPrograms(t *testing.T) {
	tests := []struct {
		name     string
		programs []program
		known    map[string]string
	}{
		{"node", nodePrograms, kubebuild.NodePackages},
		{"version", versionPrograms, kubebuild.Packages},
	}
	for _, tt := range tests {
		want := slices.Sorted(maps.Keys(tt.known))
		got := slices.Sorted(slices.Values(programNames(tt.programs)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s programs (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestVersionsHaveDifferentImagesAndOneBase(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	const root = "../.."
	minors, err := kubebuild.Minors(root)
	if err != nil {
		t.Fatal(err)
	}
	bases, refs := map[string]bool{}, map[string]bool{}
	for _, minor := range minors {
		version, err := kubebuild.Find(root, minor)
		if err != nil {
			t.Fatal(err)
		}
		b := &builder{}
		ref, err := b.prepare(t.Context(), root, version)
		if err != nil {
			t.Fatal(err)
		}
		if want := "image-webhook.dev/node:v" + minor + "."; !strings.HasPrefix(ref, want) {
			t.Errorf("image of Kubernetes %s is %s, want the prefix %s", minor, ref, want)
		}
		bases[b.baseRef], refs[ref] = true, true
	}
	if len(bases) != 1 || len(refs) != len(minors) {
		t.Errorf("want one base and one image per version, got bases %v, images %v", bases, refs)
	}
}

// The compiler in this test never ends.
func TestFailedBaseStopsTheCompiler(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	const root = "../.."
	version, err := kubebuild.Find(root, "")
	if err != nil {
		t.Fatal(err)
	}
	b := &builder{engine: &engine.Engine{Name: "fake-engine"}, report: progress.New(io.Discard), workDir: t.TempDir()}
	if _, err := b.prepare(t.Context(), root, version); err != nil {
		t.Fatal(err)
	}
	for _, file := range append([]string{b.rootfs}, programPaths(b.node, nodePrograms)...) {
		if err := writeFile(file, "", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fakes := t.TempDir()
	for name, script := range map[string]string{
		"go":          "#!/bin/sh\nexec sleep 1000\n",
		"fake-engine": "#!/bin/sh\necho no space left\nexit 1\n",
	} {
		if err := writeFile(filepath.Join(fakes, name), script, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", fakes+":"+os.Getenv("PATH"))
	var got strings.Builder
	subprocess.Print(&got, "nodeimage", b.buildParts(t.Context()))
	if want := "nodeimage: build the node base image: fake-engine build"; !strings.HasPrefix(got.String(), want) {
		t.Errorf("got %q, want the prefix %q", got.String(), want)
	}
}

func programPaths(built *kubebuild.Programs, programs []program) (paths []string) {
	for _, name := range programNames(programs) {
		paths = append(paths, built.Path(name))
	}
	return paths
}

func TestNetfilterFilesMatchesOnlyWhatKubeProxyNeeds(t *testing.T) {
	tests := []struct {
		path string // as in the tar file
		want bool   // kube-proxy's image contains it
	}{
		{"./usr/sbin/iptables", true},
		{"./usr/sbin/ip6tables-restore", true},
		{"./usr/sbin/xtables-nft-multi", true},
		{"./usr/sbin/nft", true},
		{"./usr/sbin/conntrack", true},
		{"./etc/alternatives/iptables", true},
		{"./usr/lib/x86_64-linux-gnu/libc.so.6", true},
		{"./usr/lib/aarch64-linux-gnu/libmnl.so.0.2.0", true},
		{"./usr/lib/x86_64-linux-gnu/xtables/libxt_comment.so", true},
		{"./usr/lib64/ld-linux-x86-64.so.2", true},
		{"./lib64", true},
		{"./sbin", true},
		{"./usr/sbin/mkfs.ext4", false},
		{"./usr/bin/bash", false},
		{"./etc/passwd", false},
		{"./usr/share/doc/iptables/copyright", false},
	}
	for _, test := range tests {
		if got := netfilterFiles.MatchString(test.path); got != test.want {
			t.Errorf("netfilterFiles matches %s: %t, want %t", test.path, got, test.want)
		}
	}
}

func TestDebianSourcesReturnsRepositoriesOfTheRelease(t *testing.T) {
	tests := []struct {
		name   string
		listed string // output of apt-get indextargets: origin, URI, release, component
		want   []string
	}{
		{"no apt", "", nil},
		{
			"same release, with a mirror",
			"Debian http://mirror.example/debian/ bookworm main\n" +
				"Debian http://mirror.example/debian/ bookworm-updates main\n" +
				"Debian http://mirror.example/security/ bookworm-security main\n",
			[]string{
				"deb http://mirror.example/debian/ bookworm main",
				"deb http://mirror.example/debian/ bookworm-updates main",
				"deb http://mirror.example/security/ bookworm-security main",
			},
		},
		{
			"repositories of other vendors and other components",
			"Debian http://mirror.example/debian/ bookworm main\nVendor http://vendor.example/ bookworm main\n" +
				"Debian http://mirror.example/debian/ bookworm contrib\n",
			[]string{"deb http://mirror.example/debian/ bookworm main"},
		},
		{"another release", "Debian http://mirror.example/debian/ trixie main\n", nil},
		{"updates without the release", "Debian http://mirror.example/debian/ bookworm-updates main\n", nil},
		{"no origin, because the lists were never downloaded", " http://mirror.example/debian/ bookworm main\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, debianSources(test.listed)); diff != "" {
				t.Errorf("sources differ (-want +got):\n%s", diff)
			}
		})
	}
}
