package nodeimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// debianRelease is the newest release whose systemd also runs on cgroup v1 hosts.
const debianRelease = "bookworm"

// rootfsPackages are the Debian packages of a node: systemd as PID 1, the programs that
// kube-proxy, the CNI plugins and the kubelet call, and runc.
const rootfsPackages = "systemd,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod," +
	"libseccomp2,bash,ca-certificates,curl,jq,procps,runc,e2fsprogs,socat"

// rootfsArgs returns the command that builds the root filesystem, without the output file
// and the Debian mirrors. It is the root filesystem's key: the same command gives an
// equivalent filesystem.
func rootfsArgs() []string {
	return []string{"mmdebstrap", "--variant=minbase", "--include=" + rootfsPackages, debianRelease}
}

// ensureRootfsTool installs mmdebstrap if it is missing.
func ensureRootfsTool(ctx context.Context, report *progress.Reporter) error {
	return apt.Ensure(ctx, report, "to build the node's root filesystem", "mmdebstrap")
}

func (b *builder) buildRootfs(ctx context.Context, step *progress.Step) error {
	output := filepath.Join(b.workDir, "rootfs.tar")
	args := append(append(rootfsArgs(), output), debianMirrors(ctx)...)
	err := subprocess.Command{Args: args, Progress: step}.Run(ctx)
	if err != nil {
		return fmt.Errorf("build the node's root filesystem: %w: "+
			"check that this machine can download Debian packages, or set DEBIAN_MIRROR to another mirror", err)
	}
	return os.Rename(output, b.rootfs)
}

// debianMirrors returns DEBIAN_MIRROR if it is set. Otherwise it returns the sources that
// this machine's apt uses for the same release, because a firewall may allow no others. If
// there are none, it returns nil, and mmdebstrap uses its default.
func debianMirrors(ctx context.Context) []string {
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

// debianSources returns the repositories of the release that are Debian's own, as lines of
// a sources.list. listed is apt's list of index targets.
func debianSources(listed string) []string {
	var sources []string
	hasRelease := false
	for line := range strings.Lines(listed) {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[0] != "Debian" || fields[3] != "main" {
			continue
		}
		uri, release := fields[1], fields[2]
		switch release {
		case debianRelease, debianRelease + "-updates", debianRelease + "-security":
			hasRelease = hasRelease || release == debianRelease
			sources = append(sources, "deb "+uri+" "+release+" main")
		}
	}
	if !hasRelease {
		return nil
	}
	return sources
}
