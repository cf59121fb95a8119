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

// maxBody is the maximum size of a body in bytes. The API server accepts objects of at most
// 3 MiB, but encodes some characters as six bytes and also sends the old object. Objects
// that are crafted to become even larger when they are encoded are refused.
const maxBody = 30 << 20

const jsonType = "application/json"

// readBody reads the body of an HTTP request. It reserves memory for the body, and then for
// the objects that the body decodes to.
func readBody(w http.ResponseWriter, r *http.Request, memory *reservation) ([]byte, *rejection) {
	if rejected := checkHeader(w, r); rejected != nil {
		return nil, rejected
	}
	if rejected := memory.reserve(r.Context(), maxSize(r)); rejected != nil {
		return nil, rejected
	}
	body, rejected := readAll(w, r)
	if rejected != nil {
		return nil, rejected
	}
	return body, memory.reserve(r.Context(), elementSize*countElements(body))
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

// readAll reads the body. A large body must arrive within maxWait, because it has reserved
// memory.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, *rejection) {
	if maxSize(r) > smallBody {
		connection := http.NewResponseController(w)
		_ = connection.SetReadDeadline(time.Now().Add(maxWait)) // fails only without a connection
		defer func() { _ = connection.SetReadDeadline(time.Time{}) }()
	}
	var content bytes.Buffer
	if r.ContentLength > 0 {
		content.Grow(int(maxSize(r)) + bytes.MinRead) // growing step by step would take twice the memory
	}
	_, err := content.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &rejection{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MiB", maxBody>>20)}
	}
	if err != nil {
		return nil, &rejection{http.StatusBadRequest, "cannot read the body: " + err.Error()}
	}
	return content.Bytes(), nil
}

const (
	// smallBody is the size up to which a review reserves no memory. Nearly all reviews
	// are that small and never wait for a large one.
	smallBody = 64 << 10
	// maxInFlight limits the memory of all larger reviews together. A few huge pods must
	// not exhaust a server that the whole cluster needs.
	maxInFlight = 96 << 20
	// elementSize is the memory in bytes of a list element that is decoded into a growing
	// slice. In JSON, an empty container has only two bytes.
	elementSize = 108
	// maxWait is how long a large review waits for memory, and then for its body. Both
	// together take less than the timeout of the API server.
	maxWait = 2 * time.Second
	// maxDepth is the maximum nesting depth that encoding/json accepts.
	maxDepth = 10000
)

// inFlight is shared by all handlers, because they share the memory of the process.
var inFlight = semaphore.NewWeighted(maxInFlight)

// reservation is the memory that one review has reserved, in bytes.
type reservation struct{ reserved int64 }

// reserve reserves more memory. It waits up to maxWait until the memory is free.
func (r *reservation) reserve(ctx context.Context, bytes int64) *rejection {
	switch {
	case bytes <= smallBody:
		return nil
	case r.reserved+bytes > maxInFlight:
		return &rejection{http.StatusRequestEntityTooLarge, "the body has too many objects"}
	case !acquire(ctx, bytes):
		return &rejection{http.StatusServiceUnavailable, "too many large reviews are in flight: try again"}
	}
	r.reserved += bytes
	return nil
}

func (r *reservation) release() { inFlight.Release(r.reserved) }

// acquire acquires bytes of inFlight. It starts a timer only if it has to wait.
func acquire(ctx context.Context, bytes int64) bool {
	if inFlight.TryAcquire(bytes) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	return inFlight.Acquire(ctx, bytes) == nil
}

// countElements returns the number of elements of all lists in a JSON text, each of which
// may become a struct. An empty list counts as one. For a small text it returns the number of
// commas and brackets, an upper bound that is faster to count. For invalid JSON, which the
// decoder refuses, the result is meaningless.
func countElements(body []byte) int64 {
	if upperBound := int64(bytes.Count(body, []byte(",")) + bytes.Count(body, []byte("["))); upperBound*elementSize <= smallBody {
		return upperBound
	}
	var count int64
	var lists []bool // whether each enclosing value is a list
	for i := 0; i < len(body) && len(lists) <= maxDepth; i++ {
		switch body[i] {
		case '"':
			i = endOfString(body, i)
		case '[', '{':
			lists = append(lists, body[i] == '[')
			if body[i] == '[' {
				count++
			}
		case ']', '}':
			lists = lists[:max(0, len(lists)-1)]
		case ',':
			if len(lists) > 0 && lists[len(lists)-1] {
				count++
			}
		}
	}
	return count
}

// endOfString returns the index of the quote that ends the string beginning at i.
func endOfString(body []byte, i int) int {
	for i++; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}
