package admission

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"
)

// MaxBody bounds the body of a review, in bytes. The API server takes objects of
// at most 3 MiB, writes some characters as six bytes and sends the old object too.
// An object can be written so that the API server makes still more of it, of every
// empty status a full one; that is not worth the memory.
const MaxBody = 30 << 20

const jsonType = "application/json"

// refusal is an answer to what is no review.
type refusal struct {
	status int
	reason string
}

// receive reads the body of an HTTP request, and takes the memory for it and
// for what it decodes to.
func receive(w http.ResponseWriter, r *http.Request, memory *share) ([]byte, *refusal) {
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
	return body, memory.take(r.Context(), elementSize*elements(body))
}

func checkHeader(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{http.StatusMethodNotAllowed, "a review must be sent by POST"}
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return &refusal{http.StatusUnsupportedMediaType, "the content type must be " + jsonType}
	}
	return nil
}

// isJSON reports whether a content type is JSON. The API server's has no
// parameters, and need not be parsed.
func isJSON(contentType string) bool {
	if contentType == jsonType {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == jsonType
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
