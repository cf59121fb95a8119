package engine

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/image-webhook/image-webhook/tools/progress"
)

func TestContainersConfAdaptsToTheHost(t *testing.T) {
	files := hardLimit(unix.RLIMIT_NOFILE)
	processes := min(hardLimit(unix.RLIMIT_NPROC), maxProcesses)
	limits := fmt.Sprintf("[containers]\ndefault_ulimits = [\"nofile=%d:%d\", \"nproc=%d:%d\"]\n", files, files, processes, processes)
	runtime := "[engine]\nruntime = \"runc\"\n"
	tests := []struct {
		name          string
		cgroupV1      bool
		noSysResource bool
		want          string
	}{
		{"cgroup v2 and all capabilities", false, false, ""},
		{"cgroup v1", true, false, runtime},
		{"no CAP_SYS_RESOURCE", false, true, limits},
		{"both", true, true, limits + runtime},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, containersConf(test.cgroupV1, test.noSysResource)); diff != "" {
				t.Errorf("containers.conf differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindRejectsUnknownEngine(t *testing.T) {
	t.Setenv("ENGINE", "nerdctl")
	_, err := Find(t.Context())
	want := `invalid ENGINE "nerdctl": use docker, podman or none, or unset it`
	if err == nil || err.Error() != want {
		t.Errorf("Find returned %v, want %q", err, want)
	}
}

func TestFindReportsMissingDocker(t *testing.T) {
	t.Setenv("ENGINE", "docker")
	t.Setenv("PATH", t.TempDir())
	_, err := Find(t.Context())
	if want := "use ENGINE=docker: docker is not installed"; err == nil || err.Error() != want {
		t.Errorf("Find returned %v, want %q", err, want)
	}
}

func TestFindReportsMissingEngine(t *testing.T) {
	t.Setenv("ENGINE", "")
	t.Setenv("PATH", t.TempDir())
	_, err := Find(t.Context())
	want := "no container engine: run `make up` as root on Debian or Ubuntu to install podman, or install Docker or podman"
	if !errors.Is(err, ErrNone) || err.Error() != want {
		t.Errorf("Find returned %v, want ErrNone: %s", err, want)
	}
}

func TestEnsureInstallsNothingForEngineNone(t *testing.T) {
	t.Setenv("ENGINE", "none")
	_, err := Ensure(t.Context(), progress.New(io.Discard))
	if !errors.Is(err, ErrNone) || err.Error() != "no container engine: ENGINE=none disables it: unset ENGINE, or use `make controlplane`" {
		t.Errorf("Ensure returned %v, want ErrNone", err)
	}
}
