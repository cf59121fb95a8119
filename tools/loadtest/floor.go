package loadtest

import (
	"io"
	"net/http"
)

// floorHandlers returns a handler that reads the body and answers without a body. No webhook that
// uses net/http can be faster.
func floorHandlers() (map[string]http.Handler, error) {
	return map[string]http.Handler{anyPath: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client fails if it gets no answer
	})}, nil
}
