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
