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

// maxBody bounds the body of a review, in bytes. The API server accepts objects of at most
// 3 MiB, encodes some characters as six bytes and also sends the old object. It can make
// more of an object that is written for that purpose, such as full statuses of empty ones;
// those are not worth the memory.
const maxBody = 30 << 20

const jsonType = "application/json"

// readBody reads the body of an HTTP request. It first takes the memory for the body, and
// then the memory for the objects that the body decodes to.
func readBody(w http.ResponseWriter, r *http.Request, memory *share) ([]byte, *rejection) {
	if rejected := checkHeader(w, r); rejected != nil {
		return nil, rejected
	}
	if rejected := memory.take(r.Context(), maxSize(r)); rejected != nil {
		return nil, rejected
	}
	body, rejected := readAll(w, r)
	if rejected != nil {
		return nil, rejected
	}
	return body, memory.take(r.Context(), elementSize*countElements(body))
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

// isJSON reports whether a content type is JSON. The API server sends it without
// parameters, so it usually need not be parsed.
func isJSON(contentType string) bool {
	if contentType == jsonType {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == jsonType
}

// maxSize returns the largest possible size of the body: maxBody if the client does not
// announce the size.
func maxSize(r *http.Request) int64 {
	if r.ContentLength < 0 || r.ContentLength > maxBody {
		return maxBody
	}
	return r.ContentLength
}

// readAll reads the body. A client that holds a share of the memory must send its body
// within maxWait.
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
	// smallBody is the size up to which a review takes no share of the memory. Nearly all
	// reviews have some kilobytes, and these never wait for a large one.
	smallBody = 64 << 10
	// maxInFlight bounds the memory of all larger reviews together. A few huge pods must
	// not exhaust a server that the whole cluster needs.
	maxInFlight = 96 << 20
	// elementSize is the memory that an element of a list takes when it is decoded into a
	// growing slice: an empty container is two bytes of JSON, and so is a zero instead.
	elementSize = 108
	// maxWait is how long a large review waits for its share of maxInFlight, and how long
	// its body may take: together less than the timeout of the API server.
	maxWait = 2 * time.Second
	// maxDepth is the depth of lists and objects that encoding/json accepts.
	maxDepth = 10000
)

// inFlight is shared by all handlers, as the memory of the process is.
var inFlight = semaphore.NewWeighted(maxInFlight)

// share is the memory that one review has taken, in bytes.
type share struct{ taken int64 }

// take takes more memory and waits for it if necessary.
func (s *share) take(ctx context.Context, bytes int64) *rejection {
	switch {
	case bytes <= smallBody:
		return nil
	case s.taken+bytes > maxInFlight:
		return &rejection{http.StatusRequestEntityTooLarge, "the body has too many objects"}
	case !acquire(ctx, bytes):
		return &rejection{http.StatusServiceUnavailable, "too many large reviews are in flight: try again"}
	}
	s.taken += bytes
	return nil
}

func (s *share) release() { inFlight.Release(s.taken) }

// acquire takes a share of inFlight. There is nearly always enough, so the usual case
// starts no timer.
func acquire(ctx context.Context, bytes int64) bool {
	if inFlight.TryAcquire(bytes) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	return inFlight.Acquire(ctx, bytes) == nil
}

// countElements counts the elements of all lists in a JSON text, each of which may become
// a struct. An empty list counts as one. The result is meaningless for invalid JSON, which
// the decoder refuses.
//
// Nearly all reviews are too small to matter: the count of their commas and brackets, which
// is an upper bound, is then returned instead.
func countElements(body []byte) int64 {
	if most := int64(bytes.Count(body, []byte(",")) + bytes.Count(body, []byte("["))); most*elementSize <= smallBody {
		return most
	}
	var count int64
	var lists []bool // for each enclosing value, whether it is a list
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
