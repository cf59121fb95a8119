package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// MaxBody bounds the body of a review. The API server takes objects of at
	// most 3 MiB and sends the old object too; what it adds to a pod that is made
	// to grow, such as every field of an empty status, is not worth more memory.
	MaxBody = 30 << 20
	// smallBody is what a review may take without asking: nearly all of them have
	// some kilobytes, and these never wait for a large one.
	smallBody = 64 << 10
	// maxInFlight bounds the memory of all larger reviews at once. A few huge pods
	// must not be able to exhaust a server that the whole cluster needs.
	maxInFlight = 96 << 20
	// objectSize is what an object in a body takes when it is decoded, in a list
	// that grows: an empty container is two bytes of JSON.
	objectSize = 72
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

// refusal is an answer to what is no review.
type refusal struct {
	status int
	reason string
}

// receive reads the review of an HTTP request, and takes the memory for it.
func receive(w http.ResponseWriter, r *http.Request, memory *share) (*Request, *refusal) {
	if refused := checkHeader(w, r); refused != nil {
		return nil, refused
	}
	if refused := memory.take(r.Context(), size(r)); refused != nil {
		return nil, refused
	}
	body, refused := read(w, r)
	if refused != nil {
		return nil, refused
	}
	if refused := memory.take(r.Context(), objectSize*int64(bytes.Count(body, []byte("{")))); refused != nil {
		return nil, refused
	}
	req, err := Decode(body)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, err.Error()}
	}
	return req, nil
}

func checkHeader(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{http.StatusMethodNotAllowed, "an AdmissionReview must be sent by POST"}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "the content type must be application/json"}
	}
	return nil
}

// size returns how large the body may be: as large as any if the client does not
// say.
func size(r *http.Request) int64 {
	if r.ContentLength < 0 || r.ContentLength > MaxBody {
		return MaxBody
	}
	return r.ContentLength
}

// read reads the body. A client that has been given a share of the memory must
// send it swiftly.
func read(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if size(r) > smallBody {
		connection := http.NewResponseController(w)
		_ = connection.SetReadDeadline(time.Now().Add(maxWait)) // without a connection there is no client to wait for
		defer func() { _ = connection.SetReadDeadline(time.Time{}) }()
	}
	var content bytes.Buffer
	if r.ContentLength > 0 {
		content.Grow(int(size(r)) + bytes.MinRead) // growing step by step would take twice that
	}
	_, err := content.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MiB", MaxBody>>20)}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
	}
	return content.Bytes(), nil
}
