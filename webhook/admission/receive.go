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
	// most 3 MiB, and keeps some half of that as the old object, but writes some
	// characters, such as <, as six bytes.
	MaxBody = 30 << 20
	// maxInFlight bounds the bodies in memory at once. Reviews have some
	// kilobytes; a few users with huge pods must not be able to exhaust a
	// server that the whole cluster needs.
	maxInFlight = 32 << 20
	// maxWait is how long a review waits for its share of maxInFlight. The API
	// server gives up about then.
	maxWait = 5 * time.Second
)

// inFlight is shared by all handlers of the process, as its memory is.
var inFlight = semaphore.NewWeighted(maxInFlight)

// refusal is an answer to what is no review.
type refusal struct {
	status int
	reason string
}

// receive reads the review of an HTTP request. What it takes of the memory for
// reviews is given back by release, which is never nil.
func receive(w http.ResponseWriter, r *http.Request) (req *Request, release func(), refused *refusal) {
	if refused := checkHeader(w, r); refused != nil {
		return nil, func() {}, refused
	}
	weight := weigh(r)
	if !acquire(r.Context(), weight) {
		return nil, func() {}, &refusal{http.StatusServiceUnavailable, "too many large reviews are under way: try again"}
	}
	req, refused = read(w, r)
	return req, func() { inFlight.Release(weight) }, refused
}

// acquire takes a share of the memory. Nearly always there is enough, so that no
// timer is started.
func acquire(ctx context.Context, weight int64) bool {
	if inFlight.TryAcquire(weight) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	return inFlight.Acquire(ctx, weight) == nil
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

// weigh returns how much memory the body may take: all there may be if the
// client does not say.
func weigh(r *http.Request) int64 {
	if r.ContentLength < 0 || r.ContentLength > MaxBody {
		return MaxBody
	}
	return r.ContentLength
}

func read(w http.ResponseWriter, r *http.Request) (*Request, *refusal) {
	var content bytes.Buffer
	if r.ContentLength > 0 {
		content.Grow(int(weigh(r)) + bytes.MinRead) // growing step by step would take twice that
	}
	_, err := content.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MiB", MaxBody>>20)}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
	}
	req, err := Decode(content.Bytes())
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, err.Error()}
	}
	return req, nil
}
