package workspace

import (
	"context"
	"errors"
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
	unlock, err = TryLock(path)
	if !errors.Is(err, ErrLocked) {
		return unlock, err
	}
	err = waiting(func() error {
		unlock, err = wait(ctx, path)
		return err
	})
	return unlock, err
}

// ErrLocked says that somebody else has a lock.
var ErrLocked = errors.New("it is locked by somebody else")

// TryLock takes the lock of a file or folder; the error is ErrLocked if somebody else
// has it.
func TryLock(path string) (unlock func(), err error) {
	file, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { file.Close() }, nil // closing releases the lock
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

func openLock(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return os.Open(path)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
}

// wait takes the lock as soon as it is free, or ends with ctx.
func wait(ctx context.Context, path string) (unlock func(), err error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		unlock, err = TryLock(path)
		if !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
