// Package reload keeps a value that is parsed from files up to date: a renewed Secret or a changed
// ConfigMap needs no restart. If the files are invalid, the last valid value stays: while a volume
// is updated, its files may briefly not match.
//
// It does not know what the files contain.
package reload

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// CheckInterval is the minimum time between two reads of the files. The files are small
// and in memory (a mounted Secret), so comparing their content is cheaper than a
// handshake, and more reliable than comparing modification times.
const CheckInterval = time.Second

// Value is a value that is parsed from files, and parsed again when they change.
type Value[T any] struct {
	Source[T]
	log *slog.Logger

	mu       sync.Mutex
	contents []string // of the files from which value was parsed
	value    T
	checked  time.Time
	problem  string // the last one that was logged
	counted  Reloads
}

// Reloads counts the reloads of a value.
type Reloads struct {
	Succeeded, Failed uint64 // a lasting problem counts once
	Failing           bool   // whether the files are invalid, so that the old value is kept
}

// Source describes the files of a value and how to parse them.
type Source[T any] struct {
	Name    string // used in log messages
	Files   []string
	Parse   func(contents []string) (T, error)
	LogAttr func(T) slog.Attr // describes a value in the log
	Now     func() time.Time  // nil: time.Now
}

// New loads the first value.
func New[T any](source Source[T], log *slog.Logger) (*Value[T], error) {
	v := &Value[T]{Source: source, log: log}
	if v.Now == nil {
		v.Now = time.Now
	}
	v.checked = v.Now()
	if _, err := v.load(); err != nil {
		return nil, err
	}
	return v, nil
}

// Get returns the current value. It reads the files if the last time is at least a second ago.
func (v *Value[T]) Get() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.Now(); now.Sub(v.checked) >= CheckInterval {
		v.checked = now
		v.refresh()
	}
	return v.value
}

// Reloads returns the reloads until now.
func (v *Value[T]) Reloads() Reloads {
	v.Get()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.counted
}

// refresh loads the value if the files have changed. It logs each problem only once.
func (v *Value[T]) refresh() {
	changed, err := v.load()
	v.counted.Failing = err != nil
	switch {
	case err == nil:
		v.problem = ""
	case err.Error() != v.problem:
		v.problem = err.Error()
		v.counted.Failed++
		v.log.Error("keeping the old "+v.Name, v.LogAttr(v.value), slog.Any("problem", err))
	}
	if changed {
		v.counted.Succeeded++
		v.log.Info("reloaded the "+v.Name, v.LogAttr(v.value))
	}
}

// load reads the files and reports whether their content has changed.
func (v *Value[T]) load() (changed bool, err error) {
	contents, err := readFiles(v.Files)
	if err != nil || slices.Equal(contents, v.contents) {
		return false, err
	}
	value, err := v.Parse(contents)
	if err != nil {
		return false, err
	}
	v.contents, v.value = contents, value
	return true, nil
}

func readFiles(names []string) ([]string, error) {
	contents := make([]string, len(names))
	for i, name := range names {
		var err error
		if contents[i], err = readFile(name); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// maxFileSize is the maximum size of a Secret.
const maxFileSize = 1 << 20

// readFile returns the content of a regular file. A device or a pipe could block the
// server forever.
func readFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileSize {
		return "", fmt.Errorf("%s: not a regular file of at most 1 MiB", name)
	}
	content, err := os.ReadFile(name)
	return string(content), err
}
