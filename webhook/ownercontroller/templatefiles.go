package ownercontroller

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// pollInterval is the time between two looks at the files of the template. The kubelet itself
// needs up to a minute to bring a changed ConfigMap to a pod.
const pollInterval = 5 * time.Second

// templateFiles holds the last valid template of a directory.
type templateFiles struct {
	dir string

	mu    sync.Mutex
	valid *template // nil until a template has been valid
	err   error     // why the files are invalid now; nil if they are valid
}

// load reads the files. It reports whether the valid template has changed, and whether err is
// a new one.
func (f *templateFiles) load() (changed, newError bool) {
	read, err := readTemplate(f.dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	newError = err != nil && (f.err == nil || f.err.Error() != err.Error())
	f.err = err
	if err != nil {
		return false, newError
	}
	changed = !read.equal(f.valid)
	f.valid = read
	return changed, false
}

// equal reports whether two templates create the same objects. other may be nil.
func (t *template) equal(other *template) bool {
	return other != nil && t.quota.equal(other.quota) && t.limits.equal(other.limits)
}

func (p *part[T]) equal(other *part[T]) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.stored == other.stored
}

// current returns the last valid template, or an error if there was none.
func (f *templateFiles) current() (*template, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.valid == nil {
		return nil, fmt.Errorf("the template is invalid: %w: correct ConfigMap %s/%s", f.err, ownNamespace, objectName)
	}
	return f.valid, nil
}

// lastError returns why the files are invalid now, or nil.
func (f *templateFiles) lastError() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// watch loads the files again and again until ctx ends, and calls changed and failed.
func (f *templateFiles) watch(ctx context.Context, changed func(), failed func(error)) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		isNew, isNewError := f.load()
		if isNew {
			changed()
		}
		if isNewError {
			failed(f.lastError())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
