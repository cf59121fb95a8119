package loadtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	starts               = 5  // number of starts whose time is measured
	footprintConnections = 64 // connections of the load on the memory
)

// measureFootprint measures how fast the webhook starts, how large its program is, and how much
// memory it uses before and under load. Then it leaves a process without load for measureSettled.
// Without the webhook among the contenders, it does nothing.
func (r *run) measureFootprint(ctx context.Context, step *progress.Step) (err error) {
	i := slices.IndexFunc(r.contenders, func(c contender) bool { return c.name == Webhook })
	if i < 0 {
		return nil
	}
	if r.result.Footprint, err = r.measureStarts(ctx, r.contenders[i], step); err != nil {
		return err
	}
	if r.idle, err = r.start(ctx, r.contenders[i], 0); err != nil {
		return err
	}
	step.SetDetail(fmt.Sprintf("%d connections", footprintConnections))
	return r.measureMemory(ctx)
}

// measureStarts measures the size of the program and the time from its start to its first answer.
func (r *run) measureStarts(ctx context.Context, c contender, step *progress.Step) (f *Footprint, err error) {
	f = &Footprint{Connections: footprintConnections}
	info, err := os.Stat(r.webhookProgram())
	if err != nil {
		return nil, err
	}
	f.Program = info.Size()
	for i := range starts {
		step.SetDetail(fmt.Sprintf("start %d of %d", i+1, starts))
		took, err := r.measureStart(ctx, c)
		if err != nil {
			return nil, err
		}
		f.Starts = append(f.Starts, took)
	}
	return f, nil
}

// measureStart returns the time from the start of a process until /readyz answers with 200.
func (r *run) measureStart(ctx context.Context, c contender) (took time.Duration, err error) {
	started := time.Now()
	s, err := r.start(ctx, c, 1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	err = s.connections[0].post([]byte("GET /readyz HTTP/1.1\r\nHost: webhook.image-webhook.svc:443\r\n\r\n"))
	return time.Since(started), err
}

// measureMemory measures the memory of the idle process before and under load.
func (r *run) measureMemory(ctx context.Context) error {
	f := r.result.Footprint
	if err := readResident(r.idle, &f.Idle); err != nil {
		return err
	}
	if err := r.loadMemory(ctx, r.idle, f); err != nil {
		return err
	}
	r.loaded = time.Now()
	return nil
}

// measureSettled waits until Settle after the load of measureFootprint, and reads the memory. Go's
// runtime returns unused memory to the kernel within this time.
func (r *run) measureSettled(ctx context.Context, step *progress.Step) error {
	if r.idle == nil {
		return nil
	}
	remaining := time.Until(r.loaded.Add(r.Settle))
	step.SetDetail("for " + progress.Elapsed(max(0, remaining)))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(remaining):
	}
	r.result.Footprint.SettledAfter = time.Since(r.loaded)
	return readResident(r.idle, &r.result.Footprint.Settled)
}

// stopIdle stops the idle process, if there is one.
func (r *run) stopIdle() error {
	if r.idle == nil {
		return nil
	}
	return r.idle.stop()
}

func readResident(s *serverProcess, into *int64) error {
	m, err := readMemory(s.PID())
	*into = m.Resident
	return err
}

// loadMemory sends the headline review, or the first one, on many connections.
func (r *run) loadMemory(ctx context.Context, s *serverProcess, f *Footprint) (err error) {
	review := r.reviews[max(0, slices.IndexFunc(r.reviews, func(r review) bool { return r.name == Headline }))]
	if s.connections, err = connectAll(ctx, f.Connections, s.Addr, r.certificate.trusted); err != nil {
		return err
	}
	defer func() { closeAll(s.connections); s.connections = nil }()
	if _, err := s.send(ctx, load{duration: time.Duration(r.Rounds) * r.Duration}, mutating, review.body); err != nil {
		return err
	}
	m, err := readMemory(s.PID())
	f.Loaded, f.Peak = m.Resident, m.Peak
	return err
}
