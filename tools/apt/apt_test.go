package apt

import (
	"io"
	"testing"

	"github.com/image-webhook/image-webhook/tools/progress"
)

func TestEnsureErrorNamesPackages(t *testing.T) {
	if CanInstall() {
		t.Setenv("PATH", t.TempDir()) // without apt-get, the installation fails
	}
	err := Ensure(t.Context(), progress.New(io.Discard), "to run the cluster's containers", "no-such-podman", "no-such-runc")
	want := "install no-such-podman no-such-runc to run the cluster's containers: only root on Debian or Ubuntu can do this automatically: " +
		"install the packages (these are Debian's names) yourself"
	if CanInstall() {
		want = "install no-such-podman no-such-runc to run the cluster's containers: apt-get update: exec: \"apt-get\": executable file not found in $PATH"
	}
	if err == nil || err.Error() != want {
		t.Errorf("Ensure returned %q, want %q", err, want)
	}
}

func TestMissingReturnsAllPackagesWithoutDpkg(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if missing := Missing(t.Context(), "bash"); len(missing) != 1 {
		t.Errorf("missing packages are %v, want bash", missing)
	}
}
