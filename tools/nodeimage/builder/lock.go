package builder

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// lock keeps two builds out of each other's way; whoever comes second waits.
func (b *build) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(filepath.Dir(b.rootfs), "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if tryLock(file) != nil {
		err = b.report.Step("wait for another build of the node image", func(*progress.Step) error {
			return waitLock(ctx, file)
		})
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil // closing releases the lock
}

// tryLock takes the lock on file if nobody holds it. The kernel releases it
// when the process ends, however it ends.
func tryLock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// waitLock takes the lock as soon as it is free, or ends with ctx.
func waitLock(ctx context.Context, file *os.File) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for tryLock(file) != nil {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}
