package server

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// recheck is how long what was read from files is used before they are looked at
// again. The files are small and in memory (a mounted Secret), so comparing
// their content costs less than a handshake and cannot be fooled by times.
const recheck = time.Second

// reloaded is a value in files that are read again when they change, so that a
// renewed Secret needs no restart. Whatever becomes of the files, the last good
// value is kept: while a Secret is replaced, they may for a moment not belong
// together.
type reloaded[T any] struct {
	source[T]
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	contents []string // nil before the first good ones
	value    T
	checked  time.Time
	problem  string // logged already
}

// source is what files hold.
type source[T any] struct {
	name  string // in the log
	files []string
	parse func(contents []string) (T, error)
	about func(T) slog.Attr // what the log says of a value
}

// reload reads the value that is used first.
func reload[T any](from source[T], log *slog.Logger) (*reloaded[T], error) {
	r := &reloaded[T]{source: from, log: log, now: time.Now}
	r.checked = r.now()
	if _, err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// get returns the value as it is now.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.checked) >= recheck {
		r.checked = now
		r.refresh()
	}
	return r.value
}

// refresh takes over a changed value, or logs, once, why it cannot.
func (r *reloaded[T]) refresh() {
	changed, err := r.load()
	switch {
	case err == nil:
		r.problem = ""
	case err.Error() != r.problem:
		r.problem = err.Error()
		r.log.Error("keeping the old "+r.name, r.about(r.value), slog.Any("problem", err))
	}
	if changed {
		r.log.Info("reloaded the "+r.name, r.about(r.value))
	}
}

// load reads the files and reports whether they hold something else than before.
func (r *reloaded[T]) load() (changed bool, err error) {
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

// maxFile bounds a file; a Secret has at most 1 MiB.
const maxFile = 1 << 20

// readFile refuses what is no ordinary file: a device or a pipe could keep the
// server from ever starting.
func readFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s is no file of at most 1 MiB", name)
	}
	content, err := os.ReadFile(name)
	return string(content), err
}
