package chaos

import (
	"context"
	"sync"
	"time"
)

// load is the pods that all clients create until it is stopped.
type load struct {
	*tally
	stop func() // returns when no client has a request in progress
}

// startLoad starts the clients in turn, so that their requests are spread evenly.
func startLoad(ctx context.Context, clients []*client, rate int) *load {
	stopping := make(chan struct{})
	var running sync.WaitGroup
	l := &load{tally: newTally(), stop: sync.OnceFunc(func() {
		close(stopping)
		running.Wait()
	})}
	interval := time.Second / time.Duration(rate)
	for n, c := range clients {
		delay := interval * time.Duration(n+1) / time.Duration(len(clients))
		running.Go(func() { c.createPods(ctx, stopping, delay, interval, l.tally) })
	}
	return l
}

// sleep returns after a time, or when ctx ends.
func sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
