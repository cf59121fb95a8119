package chaos

import (
	"context"
	"sync"
	"time"
)

// watchInterval is the time between two looks at the served certificates.
const watchInterval = 5 * time.Second

// servedWatch counts the certificates that come into use.
type servedWatch struct {
	stop func() // returns when the watch has ended

	mu      sync.Mutex
	serials map[string]bool // of all certificates that a replica has served
}

// watchServed watches the certificates that the replicas serve, until stop is called.
func (r *run) watchServed(ctx context.Context) *servedWatch {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	w := &servedWatch{serials: map[string]bool{}, stop: func() {
		cancel()
		running.Wait()
	}}
	r.addServed(ctx, w)
	running.Go(func() {
		for sleep(ctx, watchInterval) == nil {
			r.addServed(ctx, w)
		}
	})
	return w
}

// addServed adds the certificates that the replicas serve now. It skips replicas that do not answer.
func (r *run) addServed(ctx context.Context, w *servedWatch) {
	served, _ := r.servedCertificates(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, certificate := range served {
		w.serials[certificate.SerialNumber.String()] = true
	}
}

// renewals returns the number of certificates that have come into use since the first look.
func (w *servedWatch) renewals() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(0, len(w.serials)-1)
}
