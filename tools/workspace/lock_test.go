package workspace

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestLockWaitsForHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func(func() error) error {
		t.Error("Lock waits for a free lock")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Error("locked twice at the same time")
	}
	waited := false
	unlockSecond, err := Lock(t.Context(), path, func(wait func() error) error {
		waited = true
		unlock()
		return wait()
	})
	if err != nil || !waited {
		t.Fatalf("waited %v, %v", waited, err)
	}
	unlockSecond()
}

func TestTryLockLocksDirectory(t *testing.T) {
	dir := t.TempDir()
	unlock, err := TryLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(dir); !errors.Is(err, ErrLocked) {
		t.Error("locked twice at the same time")
	}
	unlock()
	relock, err := TryLock(dir)
	if err != nil {
		t.Fatal("not released:", err)
	}
	relock()
}

func TestLockEndsWithContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("stopped waiting")
	_, err = Lock(ctx, path, func(wait func() error) error {
		cancel(cause)
		return wait()
	})
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestTryLockReturnsOtherErrors(t *testing.T) {
	_, err := TryLock(filepath.Join(t.TempDir(), "nowhere", "lock"))
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}
