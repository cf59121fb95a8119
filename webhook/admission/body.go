package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"
)

// maxBody is the maximum size of a body in bytes. The API server accepts objects of at most
// 3 MiB, but encodes some characters as six bytes and also sends the old object. Objects
// that are crafted to become even larger when they are encoded are refused.
const maxBody = 30 << 20

const jsonType = "application/json"

// readBody reads the body of an HTTP request into the exchange. It reserves memory for a
// large body.
func (x *exchange) readBody(w http.ResponseWriter, r *http.Request) *rejection {
	if rejected := checkHeader(w, r); rejected != nil {
		return rejected
	}
	x.memory.context = r.Context()
	if rejected := x.memory.reserve(maxSize(r)); rejected != nil {
		return rejected
	}
	if maxSize(r) > smallBody {
		connection := http.NewResponseController(w)
		// A large body must arrive soon, because it has reserved memory.
		_ = connection.SetReadDeadline(time.Now().Add(maxWait)) // fails only without a connection
		defer func() { _ = connection.SetReadDeadline(time.Time{}) }()
	}
	return x.readAll(w, r)
}

func checkHeader(w http.ResponseWriter, r *http.Request) *rejection {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &rejection{http.StatusMethodNotAllowed, "invalid method: send a review with POST"}
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return &rejection{http.StatusUnsupportedMediaType, "invalid content type: use " + jsonType}
	}
	return nil
}

// isJSON reports whether a content type is JSON. It rarely needs to parse it, because the
// API server sends no parameters.
func isJSON(contentType string) bool {
	if contentType == jsonType {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == jsonType
}

// maxSize returns the announced size of the body, or maxBody if the client announces none.
func maxSize(r *http.Request) int64 {
	if r.ContentLength < 0 || r.ContentLength > maxBody {
		return maxBody
	}
	return r.ContentLength
}

// readAll reads the body.
func (x *exchange) readAll(w http.ResponseWriter, r *http.Request) *rejection {
	var err error
	if size := r.ContentLength; size >= 0 && size <= maxBody {
		x.body = slices.Grow(x.body, int(size))[:size]
		_, err = io.ReadFull(r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	if err == nil {
		return nil
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return &rejection{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MiB", maxBody>>20)}
	}
	return &rejection{http.StatusBadRequest, "cannot read the body: " + err.Error()}
}

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
	// maxWait is how long a large review waits for memory in total, and then for its body.
	// Both together take less than the timeout of the API server.
	maxWait = 2 * time.Second
)

// inFlight is shared by all handlers, because they share the memory of the process.
var inFlight = semaphore.NewWeighted(maxInFlight)

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
		return &rejection{http.StatusRequestEntityTooLarge, "the body has too many objects"}
	case !r.acquire(bytes):
		return &rejection{http.StatusServiceUnavailable, "too many large reviews are in flight: try again"}
	}
	r.reserved += bytes
	return nil
}

func (r *reservation) release() { inFlight.Release(r.reserved) }

// acquire acquires bytes of inFlight. It starts a timer only if it has to wait.
func (r *reservation) acquire(bytes int64) bool {
	if inFlight.TryAcquire(bytes) {
		return true
	}
	start := time.Now()
	defer func() { r.waited += time.Since(start) }()
	ctx, cancel := context.WithTimeout(r.context, maxWait-r.waited)
	defer cancel()
	return inFlight.Acquire(ctx, bytes) == nil
}
