package policy

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/reload"
)

// pollInterval is how often the file is read. It is small and in memory (a mounted ConfigMap).
const pollInterval = time.Second

// Store has the rules of a file, which it reads again when it changes.
type Store struct {
	file    *reload.Value[*admission.Rules]
	log     *slog.Logger
	overlap overlap
	current atomic.Pointer[admission.Rules]
}

// Open reads the file.
func Open(name string, flags Flags, log *slog.Logger) (*Store, error) {
	var wasRead bool
	file, err := reload.New(reload.Source[*admission.Rules]{
		Name:  "policy",
		Files: []string{name},
		Parse: func(contents []string) (*admission.Rules, error) {
			wasRead = true
			return Read(name, []byte(contents[0]), flags)
		},
		LogAttr: func(r *admission.Rules) slog.Attr { return slog.String("version", r.Version) },
	}, log)
	switch {
	case err != nil && !wasRead:
		return nil, fmt.Errorf("%w: use a file with an %s", err, Kind)
	case err != nil:
		return nil, err
	}
	s := &Store{file: file, log: log, overlap: overlap{latest: file.Get()}}
	s.current.Store(s.overlap.latest)
	return s, nil
}

// Rules returns the rules that apply now.
func (s *Store) Rules() *admission.Rules { return s.current.Load() }

// Reloads returns the reloads of the file.
func (s *Store) Reloads() reload.Reloads { return s.file.Reloads() }

// Watch reads the file again and again until the context ends. changed is called with rules that apply
// from now on.
func (s *Store) Watch(ctx context.Context, changed func(*admission.Rules)) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.update(changed)
		}
	}
}

// update reads the file if that is due, and applies what has changed. A mirror that is not used yet, and
// a former mirror that is still accepted, change with time.
func (s *Store) update(changed func(*admission.Rules)) {
	now := s.file.Now()
	latest := s.file.Get()
	if latest != s.overlap.latest {
		s.overlap.change(latest, now)
		if s.overlap.isDelayed(now) {
			s.log.Info("images are sent to the old mirrors until all replicas have the new policy",
				"version", latest.Version, "until", s.overlap.delayEnds.UTC().Format(time.RFC3339))
		}
	}
	s.apply(s.overlap.at(now), changed)
}

// apply makes the rules the current ones, unless they are already.
func (s *Store) apply(rules *admission.Rules, changed func(*admission.Rules)) {
	before := s.Rules()
	if rules == before {
		return
	}
	s.current.Store(rules)
	changed(rules)
}
