package builder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/kubernetes"
)

// kindFiles is the folder of kind's own base image in this machine's module
// cache: the real files, so that a new kind is adapted to or noticed.
func kindFiles(t *testing.T) string {
	t.Helper()
	dir, err := command.Command{Args: []string{"go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"}}.Output(t.Context())
	if err != nil || dir == "" {
		t.Fatalf("kind's module is not downloaded: %v", err)
	}
	return filepath.Join(dir, "images", "base", "files")
}

func TestWriteKindFiles(t *testing.T) {
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
		t.Errorf("containerd.service is not adapted:\n%s", unit)
	}
}

func TestAdaptContainerd(t *testing.T) {
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

// Every program of the node is one that is built.
func TestProgramsAreKnown(t *testing.T) {
	for _, name := range programNames() {
		if kubernetes.Packages[name] == "" {
			t.Errorf("%s is no program of package kubernetes", name)
		}
	}
}

func TestNetfilter(t *testing.T) {
	tests := []struct {
		path string // as tar lists it
		want bool   // kube-proxy's image has it
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
		if got := netfilter.MatchString(test.path); got != test.want {
			t.Errorf("netfilter matches %s: %t, want %t", test.path, got, test.want)
		}
	}
}

func TestDebianSources(t *testing.T) {
	tests := []struct {
		name   string
		listed string // by apt-get indextargets: origin, URI, release, component
		want   []string
	}{
		{"no apt", "", nil},
		{
			"a machine of the release, with a mirror of its own",
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
			"others' packages are left out",
			"Debian http://mirror.example/debian/ bookworm main\nVendor http://vendor.example/ bookworm main\n" +
				"Debian http://mirror.example/debian/ bookworm contrib\n",
			[]string{"deb http://mirror.example/debian/ bookworm main"},
		},
		{"another release", "Debian http://mirror.example/debian/ trixie main\n", nil},
		{"updates without the release", "Debian http://mirror.example/debian/ bookworm-updates main\n", nil},
		{"lists that were never fetched have no origin", " http://mirror.example/debian/ bookworm main\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, debianSources(test.listed)); diff != "" {
				t.Errorf("sources differ (-want +got):\n%s", diff)
			}
		})
	}
}
