package admission

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// smallBody is the size up to which a review reserves no memory. Nearly all reviews
	// are that small and never wait for a large one.
	smallBody = 64 << 10
	// maxInFlight limits the memory of all larger reviews together. A few huge pods must
	// not exhaust a server that the whole cluster needs.
	maxInFlight = 96 << 20
	// answerFactor is the ratio of the memory of a review to that of its decoded lists. The
	// answer may describe each element: in the patch, in an annotation and in a string.
	answerFactor = 6
	// maxWait is how long a large review waits for memory in total, then for its body, and then
	// for the client to read the answer. A small review waits for its turn that long. All of it
	// together takes less than the timeout of the API server.
	maxWait = 2 * time.Second
	// maxSmall limits the small reviews that are answered at the same time, after their bodies
	// have arrived. More would only wait for a CPU. The server limits the connections, and so
	// the bodies that arrive.
	maxSmall = 128
)

// inFlight and small are shared by all handlers, because they share the memory and the CPUs of
// the process.
var (
	inFlight = semaphore.NewWeighted(maxInFlight)
	small    = semaphore.NewWeighted(maxSmall)
)

// reservation is the memory that one review has reserved, in bytes. The zero value has
// reserved nothing.
type reservation struct {
	context  context.Context // of the HTTP request
	reserved int64
	waited   time.Duration
}

// Reserve implements jsonfields.Memory. It also reserves the memory of the answer.
func (r *reservation) Reserve(bytes int64) error {
	if rejected := r.reserve(answerFactor * bytes); rejected != nil {
		return rejected
	}
	return nil
}

// reserve reserves more memory. It waits up to maxWait until the memory is free.
func (r *reservation) reserve(bytes int64) *rejection {
	switch {
	case bytes <= smallBody:
		return nil
	case r.reserved+bytes > maxInFlight:
		return &rejection{http.StatusRequestEntityTooLarge, "the body has too many objects: make its lists shorter"}
	case !r.acquire(bytes):
		return overloaded("too many large reviews are in flight: try again")
	}
	r.reserved += bytes
	return nil
}

func (r *reservation) release() { inFlight.Release(r.reserved) }

// acquire acquires bytes of inFlight.
func (r *reservation) acquire(bytes int64) bool {
	start := time.Now()
	defer func() { r.waited += time.Since(start) }()
	return acquire(r.context, inFlight, bytes, maxWait-r.waited)
}

// acquire acquires n of a semaphore. It starts a timer only if it has to wait.
func acquire(ctx context.Context, s *semaphore.Weighted, n int64, limit time.Duration) bool {
	if s.TryAcquire(n) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.Acquire(ctx, n) == nil
}

// answerInTurn calls answer. A small review waits until not too many others are being answered.
func (x *exchange) answerInTurn(answer func(*exchange) error) error {
	if len(x.body) > smallBody {
		return answer(x)
	}
	if !acquire(x.memory.context, small, 1, maxWait) {
		return overloaded("too many reviews are in flight: try again")
	}
	defer small.Release(1)
	x.memory.waited = maxWait // others wait for this turn, so it must not wait for memory
	return answer(x)
}
