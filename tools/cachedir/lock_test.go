package cachedir

import (
	"context"
	"errors"
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
	if _, ok := TryLock(path); ok {
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
	unlock, ok := TryLock(dir)
	if !ok {
		t.Fatal("the folder is not locked")
	}
	if _, ok := TryLock(dir); ok {
		t.Error("two have the lock at once")
	}
	unlock()
	again, ok := TryLock(dir)
	if !ok {
		t.Fatal("the lock was not released")
	}
	again()
}

func TestLockEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, _ := TryLock(path)
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	_, err := Lock(ctx, path, func(wait func() error) error {
		cancel(gone)
		return wait()
	})
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
