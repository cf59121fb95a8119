package admission

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// smallBody is what a review may take without asking: nearly all of them have
	// some kilobytes, and these never wait for a large one.
	smallBody = 64 << 10
	// maxInFlight bounds the memory of all larger reviews at once. A few huge pods
	// must not be able to exhaust a server that the whole cluster needs.
	maxInFlight = 96 << 20
	// elementSize is what an element of a list in a body takes when it is decoded, in
	// a list that grows: an empty container is two bytes of JSON, and so is a zero in
	// its place.
	elementSize = 108
	// maxWait is how long a large review waits for its share of maxInFlight, and
	// how long its body may take: together less than the API server's patience.
	maxWait = 2 * time.Second
)

// inFlight is shared by all handlers of the process, as its memory is.
var inFlight = semaphore.NewWeighted(maxInFlight)

// share is what one review has taken of the memory.
type share struct{ taken int64 }

// take takes more of the memory, and waits for it if need be.
func (s *share) take(ctx context.Context, bytes int64) *refusal {
	switch {
	case bytes <= smallBody:
		return nil
	case s.taken+bytes > maxInFlight:
		return &refusal{http.StatusRequestEntityTooLarge, "the body has too many objects"}
	case !acquire(ctx, bytes):
		return &refusal{http.StatusServiceUnavailable, "too many large reviews are under way: try again"}
	}
	s.taken += bytes
	return nil
}

func (s *share) release() { inFlight.Release(s.taken) }

// acquire takes a share of inFlight. Nearly always there is enough, so that no
// timer is started.
func acquire(ctx context.Context, bytes int64) bool {
	if inFlight.TryAcquire(bytes) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	return inFlight.Acquire(ctx, bytes) == nil
}
