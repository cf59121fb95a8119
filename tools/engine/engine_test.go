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

func TestContainersConf(t *testing.T) {
	files := hardLimit(unix.RLIMIT_NOFILE)
	processes := min(hardLimit(unix.RLIMIT_NPROC), maxProcesses)
	limits := fmt.Sprintf("[containers]\ndefault_ulimits = [\"nofile=%d:%d\", \"nproc=%d:%d\"]\n", files, files, processes, processes)
	runtime := "[engine]\nruntime = \"runc\"\n"
	tests := []struct {
		name     string
		cgroupV1 bool
		withheld bool // the host withholds CAP_SYS_RESOURCE
		want     string
	}{
		{"an ordinary host needs nothing", false, false, ""},
		{"crun refuses hybrid cgroups", true, false, runtime},
		{"limits cannot be raised", false, true, limits},
		{"both", true, true, limits + runtime},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, containersConf(test.cgroupV1, test.withheld)); diff != "" {
				t.Errorf("containers.conf differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownEngineIsRefused(t *testing.T) {
	t.Setenv("ENGINE", "nerdctl")
	_, err := Find(t.Context())
	want := "ENGINE=nerdctl is no engine: write ENGINE=docker, ENGINE=podman or ENGINE=none, or leave it out"
	if err == nil || err.Error() != want {
		t.Errorf("Find returned %v, want %q", err, want)
	}
}

func TestForcedDockerThatIsMissingIsNamed(t *testing.T) {
	t.Setenv("ENGINE", "docker")
	t.Setenv("PATH", t.TempDir())
	_, err := Find(t.Context())
	if want := "ENGINE=docker, but no docker program is installed"; err == nil || err.Error() != want {
		t.Errorf("Find returned %v, want %q", err, want)
	}
}

func TestNoEngineAtAll(t *testing.T) {
	t.Setenv("ENGINE", "")
	t.Setenv("PATH", t.TempDir())
	_, err := Find(t.Context())
	want := "no container engine: `make up` installs podman on Debian or Ubuntu, else install Docker or podman"
	if !errors.Is(err, ErrNone) || err.Error() != want {
		t.Errorf("Find returned %v, want ErrNone: %s", err, want)
	}
}

func TestNoEngineIsWanted(t *testing.T) {
	t.Setenv("ENGINE", "none")
	_, err := Ensure(t.Context(), progress.New(io.Discard))
	if !errors.Is(err, ErrNone) || err.Error() != "no container engine: ENGINE=none rules them out: leave ENGINE out, or use `make controlplane`" {
		t.Errorf("Ensure returned %v, want ErrNone", err)
	}
}
