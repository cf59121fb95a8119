package builder

import (
	"context"
	"fmt"
	"os"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// debianRelease is the newest whose systemd still runs on cgroup v1 hosts too.
const debianRelease = "bookworm"

// rootfsPackages is what runs on a node, beside our own programs: systemd as
// PID 1, what kube-proxy, the CNI plugins and the kubelet call, and runc.
const rootfsPackages = "systemd,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod," +
	"libseccomp2,bash,ca-certificates,curl,jq,procps,runc,e2fsprogs,socat"

// rootfsArgs is the command that makes the root filesystem, but for the file it
// writes. DEBIAN_MIRROR names another mirror than mmdebstrap's own choice.
func rootfsArgs() []string {
	return []string{"mmdebstrap", "--variant=minbase", "--include=" + rootfsPackages, debianRelease}
}

// buildRootfs makes the root filesystem unless the cache holds it.
func (b *build) buildRootfs(ctx context.Context) error {
	if _, err := os.Stat(b.rootfs); err == nil {
		return nil
	}
	if err := apt.Ensure(ctx, b.report, "to make the node's root filesystem", "mmdebstrap"); err != nil {
		return err
	}
	args := append(rootfsArgs(), b.rootfs+".new")
	if mirror := os.Getenv("DEBIAN_MIRROR"); mirror != "" {
		args = append(args, mirror)
	}
	err := b.report.Step("root filesystem from Debian "+debianRelease, func(step *progress.Step) error {
		// The format is named because it cannot be guessed from ".new".
		return command.Command{Args: append(args, "--format=tar"), Progress: step}.Run(ctx)
	})
	if err != nil {
		return fmt.Errorf("make the node's root filesystem with mmdebstrap "+
			"(are Debian's packages reachable? DEBIAN_MIRROR names another mirror): %w", err)
	}
	return os.Rename(b.rootfs+".new", b.rootfs)
}
