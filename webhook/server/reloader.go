package server

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// checkInterval is the minimum time between two reads of the files. The files are small
// and in memory (a mounted Secret), so comparing their content is cheaper than a
// handshake, and more reliable than comparing modification times.
const checkInterval = time.Second

// reloader contains a value that it parses from files, and parses again when they
// change, so that a renewed Secret needs no restart. If the files are invalid, it keeps
// the last valid value: while a Secret is replaced, its files may briefly not match.
type reloader[T any] struct {
	source[T]
	log *slog.Logger
	now func() time.Time

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

// source describes the files of a value and how to parse them.
type source[T any] struct {
	name    string // used in log messages
	files   []string
	parse   func(contents []string) (T, error)
	logAttr func(T) slog.Attr // describes a value in the log
}

// newReloader returns a reloader with the first value.
func newReloader[T any](definition source[T], log *slog.Logger) (*reloader[T], error) {
	r := &reloader[T]{source: definition, log: log, now: time.Now}
	r.checked = r.now()
	if _, err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// get returns the current value.
func (r *reloader[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.checked) >= checkInterval {
		r.checked = now
		r.refresh()
	}
	return r.value
}

// reloads returns the reloads until now.
func (r *reloader[T]) reloads() Reloads {
	r.get()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counted
}

// refresh loads the value if the files have changed. It logs each problem only once.
func (r *reloader[T]) refresh() {
	changed, err := r.load()
	r.counted.Failing = err != nil
	switch {
	case err == nil:
		r.problem = ""
	case err.Error() != r.problem:
		r.problem = err.Error()
		r.counted.Failed++
		r.log.Error("keeping the old "+r.name, r.logAttr(r.value), slog.Any("problem", err))
	}
	if changed {
		r.counted.Succeeded++
		r.log.Info("reloaded the "+r.name, r.logAttr(r.value))
	}
}

// load reads the files and reports whether their content has changed.
func (r *reloader[T]) load() (changed bool, err error) {
	contents, err := readFiles(r.files)
	if err != nil || slices.Equal(contents, r.contents) {
		return false, err
	}
	value, err := r.parse(contents)
	if err != nil {
		return false, err
	}
	r.contents, r.value = contents, value
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
