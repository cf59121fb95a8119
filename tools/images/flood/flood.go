package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pause is the time after a connection has ended until the next one is opened. Without it, the
// flood would be limited by its own CPU.
const pause = 20 * time.Millisecond

// figures count what a kind of connection has done.
type figures struct {
	opened, failed atomic.Int64

	mu      sync.Mutex
	answers map[int]int // by HTTP status
}

func (f *figures) count(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[status]++
}

// statuses returns the number of answers by status, such as "answers: 12 of status 200".
func (f *figures) statuses() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var texts []string
	for _, status := range slices.Sorted(maps.Keys(f.answers)) {
		texts = append(texts, fmt.Sprintf("%d of status %d", f.answers[status], status))
	}
	if len(texts) == 0 {
		return "no answers"
	}
	return "answers: " + strings.Join(texts, ", ")
}

// flood keeps connections of each kind open until ctx ends, and returns figures for each kind.
func flood(ctx context.Context, address string, connections []int) []*figures {
	var running sync.WaitGroup
	results := make([]*figures, len(kinds))
	for i, k := range kinds {
		results[i] = &figures{answers: map[int]int{}}
		for range connections[i] {
			running.Go(func() {
				for ctx.Err() == nil {
					results[i].use(ctx, k, address)
				}
			})
		}
	}
	running.Wait()
	return results
}

// use opens a connection, uses it until it is closed, and pauses.
func (f *figures) use(ctx context.Context, k kind, address string) {
	defer func() {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		f.failed.Add(1)
		return
	}
	f.opened.Add(1)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	_ = k.use(ctx, f, conn) // it ends with an error
}
