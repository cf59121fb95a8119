package admission

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// smallBody is the size up to which a review reserves no memory. Nearly all reviews
	// are that small and never wait for a large one.
	smallBody = 64 << 10
	// mediumBody is the size up to which a larger review reserves the same memory, so that its
	// buffer can be used again. Pods with more than about 40 containers need it.
	mediumBody = 256 << 10
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
	inFlight = newLimit(maxInFlight)
	small    = newLimit(maxSmall)
)

// Use is how much of a limit is used.
type Use struct{ Used, Limit int64 }

// InFlight returns how many small reviews are being answered, and how many bytes of memory the
// large reviews in flight have reserved.
func InFlight() (reviews, bytes Use) { return small.use(), inFlight.use() }

// limit is a semaphore that knows how much of it is used.
type limit struct {
	*semaphore.Weighted
	size int64
	used atomic.Int64
}

func newLimit(size int64) *limit { return &limit{Weighted: semaphore.NewWeighted(size), size: size} }

func (l *limit) use() Use { return Use{Used: l.used.Load(), Limit: l.size} }

// acquire acquires n. It starts a timer only if it has to wait.
func (l *limit) acquire(ctx context.Context, n int64, patience time.Duration) bool {
	if !l.TryAcquire(n) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if l.Acquire(ctx, n) != nil {
			return false
		}
	}
	l.used.Add(n)
	return true
}

func (l *limit) release(n int64) {
	l.used.Add(-n)
	l.Release(n)
}

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

func (r *reservation) release() {
	if r.reserved > 0 {
		inFlight.release(r.reserved)
	}
}

// acquire acquires bytes of inFlight.
func (r *reservation) acquire(bytes int64) bool {
	start := time.Now()
	defer func() { r.waited += time.Since(start) }()
	return inFlight.acquire(r.context, bytes, maxWait-r.waited)
}

// answerInTurn calls answer. A small review waits until not too many others are being answered.
func (x *exchange) answerInTurn(answer func(*exchange) error) error {
	if len(x.body) > smallBody {
		return answer(x)
	}
	if !small.acquire(x.memory.context, 1, maxWait) {
		return overloaded("too many reviews are in flight: try again")
	}
	defer small.release(1)
	x.memory.waited = maxWait // others wait for this turn, so it must not wait for memory
	return answer(x)
}
