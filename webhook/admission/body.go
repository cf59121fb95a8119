package admission

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"time"
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
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	x.memory.context = r.Context()
	size := maxSize(r)
	if isMedium(size) {
		size = mediumBody
	}
	if rejected := x.memory.reserve(size); rejected != nil {
		return rejected
	}
	if isMedium(size) {
		x.medium = mediumBodies.Get().(*[mediumBody]byte)
		x.body = x.medium[:0]
	}
	if size > smallBody {
		// A large body must arrive soon, because it has reserved memory. net/http removes the deadline
		// when the whole body was read. After an error, the deadline must stay: net/http reads the
		// rest of the body.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(maxWait)) // fails only without a connection
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

// isMedium reports whether a body of this size is read into one of mediumBodies.
func isMedium(size int64) bool { return size > smallBody && size <= mediumBody }

// maxSize returns the announced size of the body, or maxBody if the client announces none.
func maxSize(r *http.Request) int64 {
	if r.ContentLength < 0 {
		return maxBody
	}
	return r.ContentLength
}

// readAll reads the body.
func (x *exchange) readAll(w http.ResponseWriter, r *http.Request) *rejection {
	var err error
	if size := r.ContentLength; size >= 0 {
		x.body = slices.Grow(x.body, int(size))[:size]
		_, err = io.ReadFull(r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	if err == nil {
		return nil
	}
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &rejection{http.StatusRequestTimeout, "the body has not arrived in time: send it at once"}
	}
	return &rejection{http.StatusBadRequest, "cannot read the body: " + err.Error()}
}

func tooLarge() *rejection {
	return &rejection{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MiB: make the object smaller", maxBody>>20)}
}
