// Package admission answers the API server's AdmissionReviews: a review of
// admission.k8s.io/v1 in, a verdict out.
//
// A verdict is a pure function of the request: Deny refuses images that may
// not run, Warn only says so, Mirror sends images to the mirrors of their
// registries, UnknownMode speaks up about a namespace. All but the last walk
// the table of package podimages. Handler does the rest, the same for every
// verdict: it takes a POST of application/json of at most MaxBody bytes and
// answers with a review that echoes the request's uid, or with one of
//
//	400  the body is not what the webhook was asked about
//	405  the method is not POST
//	413  the body is larger than MaxBody
//	415  the content type is not application/json
//	503  so many large reviews are under way that memory would run out
//
// and a sentence in plain text. To the API server such an answer is a failed
// call, and it does as the failure policy says.
package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
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

// Verdict judges a request. Handler fills in the uid of the response.
type Verdict func(*Request) *admissionv1.AdmissionResponse

// Handler answers reviews with a verdict, and logs those that deny, warn about
// or change an object.
func Handler(log *slog.Logger, verdict Verdict) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, release, refused := receive(w, r)
		defer release()
		if refused != nil {
			log.Warn("refused a request", "path", r.URL.Path, "status", refused.status, "reason", clip(refused.reason, maxLogged))
			http.Error(w, refused.reason, refused.status)
			return
		}
		resp := verdict(req)
		resp.UID = req.UID
		record(log, req, resp)
		w.Header().Set("Content-Type", "application/json")
		// An error here means that the API server has gone away.
		_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: reviewType, Response: resp})
	})
}

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

// acquire takes a share of the memory. Nearly always there is enough, and nobody
// has to wait or to set a clock.
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

// record logs what a person may later ask about: who was refused or warned, and
// which image became which.
func record(log *slog.Logger, req *Request, resp *admissionv1.AdmissionResponse) {
	switch {
	case !resp.Allowed:
		log.Info("denied", who(req), slog.String("reason", clip(resp.Result.Message, maxLogged)))
	case len(resp.Warnings) > 0:
		log.Warn("warned", who(req), slog.String("reason", clip(strings.Join(resp.Warnings, "\n"), maxLogged)))
	case len(resp.Patch) > 0:
		rewrites := slices.Sorted(maps.Values(resp.AuditAnnotations))
		log.Info("mirrored", who(req), slog.String("images", clip(strings.Join(rewrites, ", "), maxLogged)))
	}
}

// who names the object of a request for the log, as kubectl does.
func who(req *Request) slog.Attr {
	return slog.Group("",
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("object", strings.ToLower(req.Kind.Kind)+"/"+clip(req.Object.DisplayName(), maxQuoted)))
}
