package engine

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/image-webhook/image-webhook/tools/workspace"
)

// maxProcesses limits the processes of a node. The host's limit may be lower.
const maxProcesses = 32768

// preparePodman adapts podman to hosts with fewer permissions, and checks that it works.
func (e *Engine) preparePodman(ctx context.Context) error {
	if err := adaptPodman(); err != nil {
		return fmt.Errorf("prepare podman for this machine: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := e.Run(ctx, nil, "info"); err != nil {
		return fmt.Errorf("podman is installed but does not work: `podman info`: %w", err)
	}
	return nil
}

// adaptPodman configures podman for this process and its children only.
func adaptPodman() error {
	if os.Geteuid() == 0 {
		// Unlike Docker, podman does not create this directory, which it mounts into
		// privileged containers.
		if err := os.MkdirAll("/lib/modules", 0o755); err != nil {
			return err
		}
	}
	if os.Getenv("CONTAINERS_CONF") != "" { // the user has configured podman
		return nil
	}
	settings := containersConf(CgroupV1(), lacksSysResource())
	if settings == "" {
		return nil
	}
	dir, err := workspace.CacheDir("podman")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "containers.conf")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		return err
	}
	return os.Setenv("CONTAINERS_CONF", file)
}

// containersConf returns the configuration that this host needs, or "". On cgroup v1 and
// hybrid hosts it selects runc, because crun does not start there. Without CAP_SYS_RESOURCE
// no process can raise a limit, so the containers get the host's limits.
func containersConf(cgroupV1, noSysResource bool) string {
	var conf strings.Builder
	if noSysResource {
		files, processes := hardLimit(unix.RLIMIT_NOFILE), min(hardLimit(unix.RLIMIT_NPROC), maxProcesses)
		fmt.Fprintf(&conf, "[containers]\ndefault_ulimits = [\"nofile=%d:%d\", \"nproc=%d:%d\"]\n",
			files, files, processes, processes)
	}
	if cgroupV1 {
		conf.WriteString("[engine]\nruntime = \"runc\"\n")
	}
	return conf.String()
}

func hardLimit(resource int) uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(resource, &limit); err != nil {
		return maxProcesses
	}
	return limit.Max
}

// CgroupV1 reports whether this host uses cgroup v1, or a hybrid of v1 and v2. The kubelet
// accepts them only if it is configured to.
func CgroupV1() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err != nil
}

// lacksSysResource reports whether this process cannot have CAP_SYS_RESOURCE.
func lacksSysResource() bool {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return false
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if set, ok := strings.CutPrefix(lines.Text(), "CapBnd:"); ok {
			capabilities, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && capabilities&(1<<unix.CAP_SYS_RESOURCE) == 0
		}
	}
	return false
}
