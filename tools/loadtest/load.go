package loadtest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is how requests are sent.
type load struct {
	duration time.Duration
	// rate is the number of requests per second. A latency then starts when the request is due, so
	// that it includes the wait for a connection behind a slow request. With 0, each connection
	// sends the next request when it has the answer.
	rate int
}

// sample is the result of a load.
type sample struct {
	latencies []time.Duration
	elapsed   time.Duration // until the last answer
	unsent    int           // requests that were due, but found no free connection until the end
}

// answerLimit is how long an answer may take.
const answerLimit = 30 * time.Second

// send sends a request on all connections for the duration of the load.
func (l load) send(ctx context.Context, connections []*connection, request []byte) (s sample, err error) {
	start := time.Now()
	setDeadlines(connections, start.Add(l.duration+answerLimit))
	defer context.AfterFunc(ctx, func() { setDeadlines(connections, start) })()
	next, err := l.schedule(start)
	if err != nil {
		return s, err
	}
	s.latencies, err = sendAll(connections, request, next)
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	s.elapsed = time.Since(start)
	s.unsent = max(0, l.due()-len(s.latencies))
	if err == nil && len(s.latencies) == 0 {
		err = errors.New("no request was sent: use a longer duration")
	}
	return s, err
}

// due returns the number of requests that a fixed rate sends.
func (l load) due() int { return int(l.duration.Seconds() * float64(l.rate)) }

func setDeadlines(connections []*connection, deadline time.Time) {
	for _, c := range connections {
		_ = c.conn.SetDeadline(deadline) // a closed connection fails the next request
	}
}

// schedule returns a function that waits until the next request is due and returns that time. ok is
// false after the end of the load. The first request is always sent, because a busy machine can
// start the load after its end.
func (l load) schedule(start time.Time) (next func() (due time.Time, ok bool), err error) {
	end := start.Add(l.duration)
	var begun atomic.Bool
	if l.rate == 0 {
		return func() (time.Time, bool) {
			now, first := time.Now(), !begun.Swap(true)
			return now, first || now.Before(end)
		}, nil
	}
	paced, err := pace(start, time.Second/time.Duration(l.rate), l.due())
	return func() (time.Time, bool) {
		due, ok := <-paced
		first := !begun.Swap(true)
		return due, ok && (first || !time.Now().After(end.Add(tolerance)))
	}, err
}

// tolerance is how much later than the end of the load a request may be sent. It is longer than the
// interval of a usual rate, so that the last request is sent.
const tolerance = 10 * time.Millisecond

// sendAll sends a request on all connections whenever it is due, and returns the latencies.
func sendAll(connections []*connection, request []byte, next func() (time.Time, bool)) (all []time.Duration, err error) {
	latencies := make([][]time.Duration, len(connections))
	var group errgroup.Group
	for i, c := range connections {
		group.Go(func() (err error) {
			latencies[i], err = c.sendScheduled(request, next)
			return err
		})
	}
	err = group.Wait()
	return slices.Concat(latencies...), err
}

// sendScheduled sends a request on one connection whenever it is due, and returns the latencies.
func (c *connection) sendScheduled(request []byte, next func() (time.Time, bool)) (latencies []time.Duration, err error) {
	for {
		due, ok := next()
		if !ok {
			return latencies, nil
		}
		if err := c.post(request); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(due))
	}
}
