package apt

import (
	"io"
	"testing"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// Without dpkg nothing counts as installed, and as anybody but root nothing may
// be installed: the message must then name what to install.
func TestEnsureSaysWhatToInstall(t *testing.T) {
	if CanInstall() {
		t.Setenv("PATH", t.TempDir()) // no apt-get either: it must fail, and say for what
	}
	err := Ensure(t.Context(), progress.New(io.Discard), "to run the cluster's containers", "no-such-podman", "no-such-runc")
	want := "to run the cluster's containers, install no-such-podman no-such-runc (Debian's names); as root on Debian or Ubuntu that is done for you"
	if CanInstall() {
		want = "install no-such-podman no-such-runc, to run the cluster's containers: apt-get update: exec: \"apt-get\": executable file not found in $PATH"
	}
	if err == nil || err.Error() != want {
		t.Errorf("Ensure returned %q, want %q", err, want)
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if missing := Missing(t.Context(), "bash"); len(missing) != 1 {
		t.Errorf("without dpkg, %v is missing; want bash", missing)
	}
}
