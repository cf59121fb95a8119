package nodeimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// preloadContainer is the container that runs the base. Its name is fixed, because only one
// build at a time holds the lock.
const preloadContainer = "image-webhook-node-preload"

// preloadScript copies the files of the version, starts containerd, waits until it answers,
// imports the archive without unpacking it (a node unpacks it on its own filesystem), and
// stops containerd so that its database is closed.
const preloadScript = `set -e
cp -r --preserve=mode /mnt/node/. /
containerd >/tmp/containerd.log 2>&1 &
for i in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
ctr --namespace k8s.io images import --no-unpack --digests --label io.cri-containerd.pinned=pinned /mnt/images.tar \
  || { cat /tmp/containerd.log; exit 1; }
kill %1
wait
rm -f /tmp/containerd.log
`

// preload adds the programs and the images of the version to the base, and commits the
// result as ref.
func (b *builder) preload(ctx context.Context, ref string) error {
	err := b.report.Step("build the control-plane images", func(step *progress.Step) error {
		if err := b.buildPause(ctx, step); err != nil {
			return err
		}
		return b.writeImages(ctx, filepath.Join(b.workDir, "images.tar"))
	})
	if err != nil {
		return fmt.Errorf("build the control-plane images: %w", err)
	}
	if err := b.writeVersion(filepath.Join(b.workDir, "node")); err != nil {
		return fmt.Errorf("collect the programs of the node image: %w", err)
	}
	err = b.report.Step("preload the control-plane images into the node image", func(step *progress.Step) error {
		return b.commit(ctx, ref, step)
	})
	if err != nil {
		return fmt.Errorf("preload the control-plane images into the node image: %w", err)
	}
	return nil
}

// writeVersion writes the files that differ between versions.
func (b *builder) writeVersion(dir string) error {
	if err := os.RemoveAll(dir); err != nil { // left behind by a killed run
		return err
	}
	if err := linkPrograms(b.kubernetes, versionPrograms, dir); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "kind", "version"), b.kubernetes.Release, 0o644) // without a newline, as kind requires
}

func (b *builder) commit(ctx context.Context, ref string, step *progress.Step) error {
	b.removeContainer() // left behind by a killed run
	defer b.removeContainer()
	err := b.engine.Run(ctx, step, "run", "--name", preloadContainer, "--privileged", "--network=none",
		"--volume", b.workDir+":/mnt:ro", "--entrypoint=/bin/bash", b.baseRef, "-c", preloadScript)
	if err != nil {
		return err
	}
	step.SetDetail("commit")
	return b.engine.Run(ctx, step, "commit",
		"--change", `ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]`, "--change", "CMD []",
		preloadContainer, ref)
}

// removeContainer has no context, because it must also run after an interrupt.
func (b *builder) removeContainer() {
	_ = b.engine.Run(context.Background(), nil, "rm", "--force", "--volumes", preloadContainer)
}
