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

// maxProcesses bounds the processes of a node; a host's own bound may be lower.
const maxProcesses = 32768

// preparePodman adapts podman to hosts that grant less than it assumes, and
// asks it whether it works.
func (e *Engine) preparePodman(ctx context.Context) error {
	if err := adaptPodman(); err != nil {
		return fmt.Errorf("prepare podman for this machine: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := e.Run(ctx, nil, "info"); err != nil {
		return fmt.Errorf("podman is installed but does not work: %w", err)
	}
	return nil
}

// adaptPodman sets what holds for this process and its children only.
func adaptPodman() error {
	if os.Geteuid() == 0 {
		// podman mounts it into privileged containers; Docker would make it.
		if err := os.MkdirAll("/lib/modules", 0o755); err != nil {
			return err
		}
	}
	if os.Getenv("CONTAINERS_CONF") != "" { // the user knows better
		return nil
	}
	settings := containersConf(CgroupV1(), withholdsResourceRights())
	if settings == "" {
		return nil
	}
	dir, err := workspace.Make("podman")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "containers.conf")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		return err
	}
	return os.Setenv("CONTAINERS_CONF", file)
}

// containersConf is the configuration that this host needs; empty: none.
// crun refuses hybrid cgroup v1 hosts; and without CAP_SYS_RESOURCE nobody can
// raise a limit, so the containers' limits must be the host's.
func containersConf(cgroupV1, withheld bool) string {
	var conf strings.Builder
	if withheld {
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

// CgroupV1 says whether nodes on this host run on cgroup v1, or on a hybrid of
// both, which the kubelet must be told to accept.
func CgroupV1() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err != nil
}

// withholdsResourceRights says whether CAP_SYS_RESOURCE is out of reach.
func withholdsResourceRights() bool {
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
