package workspace

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func(func() error) error {
		t.Error("waited for a lock that nobody has")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Error("two have the lock at once")
	}
	waited := false
	second, err := Lock(t.Context(), path, func(wait func() error) error {
		waited = true
		unlock()
		return wait()
	})
	if err != nil || !waited {
		t.Fatalf("waited %v, %v", waited, err)
	}
	second()
}

func TestLockOfAFolder(t *testing.T) {
	dir := t.TempDir()
	unlock, err := TryLock(dir)
	if err != nil {
		t.Fatal("the folder is not locked", err)
	}
	if _, err := TryLock(dir); !errors.Is(err, ErrLocked) {
		t.Error("two have the lock at once")
	}
	unlock()
	again, err := TryLock(dir)
	if err != nil {
		t.Fatal("the lock was not released", err)
	}
	again()
}

func TestLockEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	_, err = Lock(ctx, path, func(wait func() error) error {
		cancel(gone)
		return wait()
	})
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestTryLockSaysWhatIsWrong(t *testing.T) {
	_, err := TryLock(filepath.Join(t.TempDir(), "nowhere", "lock"))
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}
