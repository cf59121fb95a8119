package nodeimage

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// debianRelease is the newest whose systemd still runs on cgroup v1 hosts too.
const debianRelease = "bookworm"

// rootfsPackages is what runs on a node, beside our own programs: systemd as
// PID 1, what kube-proxy, the CNI plugins and the kubelet call, and runc.
const rootfsPackages = "systemd,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod," +
	"libseccomp2,bash,ca-certificates,curl,jq,procps,runc,e2fsprogs,socat"

// rootfsArgs is the command that makes the root filesystem, but for the file it
// writes and the mirrors it reads.
func rootfsArgs() []string {
	return []string{"mmdebstrap", "--variant=minbase", "--include=" + rootfsPackages, debianRelease}
}

// ensureRootfsTool installs the program that makes the root filesystem.
func ensureRootfsTool(ctx context.Context, report *progress.Reporter) error {
	return apt.Ensure(ctx, report, "to make the node's root filesystem", "mmdebstrap")
}

// buildRootfs makes the root filesystem.
func (b *build) buildRootfs(ctx context.Context, step *progress.Step) error {
	args := append(rootfsArgs(), b.rootfs+".new")
	args = append(args, mirrors(ctx)...)
	// The format is named because it cannot be guessed from ".new".
	err := subprocess.Command{Args: append(args, "--format=tar"), Progress: step}.Run(ctx)
	if err != nil {
		return fmt.Errorf("make the node's root filesystem with mmdebstrap "+
			"(are Debian's packages reachable? DEBIAN_MIRROR names another mirror): %w", err)
	}
	return os.Rename(b.rootfs+".new", b.rootfs)
}

// mirrors is DEBIAN_MIRROR; else what this machine's own apt uses for the same
// release, which may be all that a firewall lets through; else nothing, and so
// mmdebstrap's own choice.
func mirrors(ctx context.Context) []string {
	if mirror := os.Getenv("DEBIAN_MIRROR"); mirror != "" {
		return []string{mirror}
	}
	listed, err := subprocess.Command{Args: []string{
		"apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages",
	}}.Output(ctx)
	if err != nil {
		return nil
	}
	return debianSources(listed)
}

// debianSources picks Debian's own repositories of the release from apt's list
// of index targets, as lines of a sources.list.
func debianSources(listed string) []string {
	var sources []string
	complete := false
	for line := range strings.Lines(listed) {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[0] != "Debian" || fields[3] != "main" {
			continue
		}
		uri, release := fields[1], fields[2]
		switch release {
		case debianRelease, debianRelease + "-updates", debianRelease + "-security":
			complete = complete || release == debianRelease
			sources = append(sources, "deb "+uri+" "+release+" main")
		}
	}
	if !complete {
		return nil
	}
	return sources
}
