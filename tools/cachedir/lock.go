package cachedir

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Lock takes the lock of a file or folder; a file is made if it is not there. If
// somebody else has it, waiting is called with what waits until it is free, to be
// shown to a person. The kernel releases a lock when its process ends, however it
// ends.
func Lock(ctx context.Context, path string, waiting func(wait func() error) error) (unlock func(), err error) {
	file, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !take(file) {
		err = waiting(func() error { return wait(ctx, file) })
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil // closing releases the lock
}

// TryLock takes the lock of a file or folder if nobody has it.
func TryLock(path string) (unlock func(), ok bool) {
	file, err := openLock(path)
	if err != nil {
		return nil, false
	}
	if !take(file) {
		file.Close()
		return nil, false
	}
	return func() { file.Close() }, true
}

func openLock(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return os.Open(path)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
}

func take(file *os.File) bool {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// wait takes the lock as soon as it is free, or ends with ctx.
func wait(ctx context.Context, file *os.File) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !take(file) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}
