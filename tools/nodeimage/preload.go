package nodeimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// preloadContainer is the running base; one build at a time holds the lock.
const preloadContainer = "image-webhook-node-preload"

// addVersion adds the files of the version, starts containerd, waits until it
// answers, imports the archive without unpacking it (a node does that on its own
// filesystem), and stops containerd so that its database is closed.
const addVersion = `set -e
cp -r --preserve=mode /mnt/node/. /
containerd >/tmp/containerd.log 2>&1 &
for i in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
ctr --namespace k8s.io images import --no-unpack --digests --label io.cri-containerd.pinned=pinned /mnt/images.tar \
  || { cat /tmp/containerd.log; exit 1; }
kill %1
wait
rm -f /tmp/containerd.log
`

// preload adds the programs and the images of the version to the base and commits it
// as ref.
func (b *build) preload(ctx context.Context, ref string) error {
	err := b.report.Step("control-plane images", func(step *progress.Step) error {
		if err := b.buildPause(ctx, step); err != nil {
			return err
		}
		return b.writeImages(ctx, filepath.Join(b.work, "images.tar"))
	})
	if err != nil {
		return fmt.Errorf("make the control-plane images: %w", err)
	}
	if err := b.writeVersion(filepath.Join(b.work, "node")); err != nil {
		return fmt.Errorf("collect the programs of the node image: %w", err)
	}
	err = b.report.Step("preload them into the node image", func(step *progress.Step) error {
		return b.commit(ctx, ref, step)
	})
	if err != nil {
		return fmt.Errorf("preload the control-plane images: %w", err)
	}
	return nil
}

// writeVersion collects the files that are not the same for every version.
func (b *build) writeVersion(dir string) error {
	if err := os.RemoveAll(dir); err != nil { // of a run that was killed
		return err
	}
	if err := placePrograms(b.kubernetes, versionPrograms, dir); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "kind", "version"), b.kubernetes.Release, 0o644) // kind wants no newline
}

func (b *build) commit(ctx context.Context, ref string, step *progress.Step) error {
	b.removeContainer() // of a run that was killed
	defer b.removeContainer()
	err := b.engine.Run(ctx, step, "run", "--name", preloadContainer, "--privileged", "--network=none",
		"--volume", b.work+":/mnt:ro", "--entrypoint=/bin/bash", b.base, "-c", addVersion)
	if err != nil {
		return err
	}
	step.SetDetail("commit")
	return b.engine.Run(ctx, step, "commit",
		"--change", `ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]`, "--change", "CMD []",
		preloadContainer, ref)
}

// removeContainer also runs when the build was interrupted.
func (b *build) removeContainer() {
	_ = b.engine.Run(context.Background(), nil, "rm", "--force", "--volumes", preloadContainer)
}
