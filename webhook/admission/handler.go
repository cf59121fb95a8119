// Package admission answers the reviews of the API server: the AdmissionReviews of
// admission.k8s.io/v1 that it sends to webhooks, and the ImageReviews of
// imagepolicy.k8s.io/v1alpha1 that its plugin ImagePolicyWebhook sends.
//
// Each stage of a review has a file: handler.go answers the HTTP request, body.go reads its
// body within limits, exchange.go and request.go decode the fields that are checked, a verdict
// decides (mutate.go, deny.go, mode.go; imagereview.go for the plugin; namespaceowner.go for
// owners of namespaces), denial.go writes the message for the user, log.go logs the result,
// answer.go encodes it.
//
// A verdict on an AdmissionReview is a pure function of the request. Deny denies images that
// must not run, Warn only warns about them, Mutate sends images to mirrors and sets their
// pull policy, UnknownMode warns about the label of a namespace. Every rule about images
// uses the table of package podimages. The package does not know the server that calls it.
//
// A handler accepts a POST of application/json with at most maxBody bytes. It answers with a
// review, or with an error in plain text and the status
//
//	400  the body is not a review that the webhook is registered for
//	405  the method is not POST
//	408  the body has not arrived in time
//	413  the body is larger than maxBody, or decodes to too many objects
//	415  the content type is not application/json
//	503  too many reviews are in flight, or the memory for large reviews is in use: the
//	     header Retry-After makes the API server try again
//
// The API server treats an error as a failed call, so the failure policy decides.
package admission

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/image-webhook/image-webhook/webhook/image"
)

// Verdict decides about a request. The response must not refer to the request after the
// handler has answered.
type Verdict func(*Request) Response

// Handlers returns the handlers by path. The webhook configurations select a path by the
// mode of the namespace. The API server's plugin ImagePolicyWebhook uses /image-policy. Nothing
// calls the paths below /namespace-owner unless deploy/namespace-owner is installed.
func Handlers(log *slog.Logger, policy image.Policy, changes Changes) map[string]http.Handler {
	return map[string]http.Handler{
		"/validating":              Handler(log, Deny(policy)),
		"/validating/warn":         Handler(log, Warn(policy)),
		"/validating/unknown-mode": Handler(log, UnknownMode),
		"/mutating":                Handler(log, Mutate(changes)),
		"/image-policy":            ImageReviews(log, policy),
		"/namespace-owner":         NamespaceOwners(log),
		"/namespace-owner/chosen":  ChosenNamespaceOwners(log),
	}
}

// Handler returns a handler that answers AdmissionReviews with a verdict, and logs denials,
// warnings and changes.
func Handler(log *slog.Logger, verdict Verdict) http.Handler {
	return handler(log, func(x *exchange) error { return answerReview(log, verdict, x) })
}

// answerReview decodes the body of an exchange and appends the answer.
func answerReview(log *slog.Logger, verdict Verdict, x *exchange) error {
	req, err := decodeReview[Request](x)
	if err != nil {
		return err
	}
	resp := verdict(req)
	record(log, req, &resp)
	x.answer = resp.append(x.answer, req.UID)
	return nil
}

// handler returns a handler that answers reviews. answer decodes the body of an exchange and
// appends the answer. It returns an error if the body is not a valid review.
func handler(log *slog.Logger, answer func(*exchange) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := newExchange()
		defer x.release()
		if rejected := x.readBody(w, r); rejected != nil {
			reject(log, w, r, rejected)
			return
		}
		if err := x.answerInTurn(answer); err != nil {
			reject(log, w, r, rejectionOf(err))
			return
		}
		x.writeAnswer(w)
		recordAnswer(r.Context(), log, r.URL.Path, x)
	})
}

// jsonHeader is the value of the header Content-Type of all answers.
var jsonHeader = []string{jsonType}

// maxUnannounced is the size in bytes up to which net/http adds the header Content-Length
// itself. It would send a larger answer in chunks.
const maxUnannounced = 2048

// writeAnswer writes the answer. An error means that the API server has closed the connection.
func (x *exchange) writeAnswer(w http.ResponseWriter) {
	header := w.Header()
	header["Content-Type"] = jsonHeader
	if len(x.answer) > maxUnannounced {
		header.Set("Content-Length", strconv.Itoa(len(x.answer)))
	}
	if x.memory.reserved > 0 {
		// The client must read the answer soon, because the review has reserved memory.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxWait)) // fails only without a connection
	}
	_, _ = w.Write(x.answer)
}

// rejection is the answer to an HTTP request that is not a valid review, or that came at a bad
// time.
type rejection struct {
	status int
	reason string
}

// overloaded returns the rejection of a review that can be answered later.
func overloaded(reason string) *rejection {
	return &rejection{http.StatusServiceUnavailable, reason}
}

// retryAfter is the value in seconds of the header Retry-After. The API server repeats a call
// only after an answer with this header, until its timeout
// (https://pkg.go.dev/k8s.io/client-go/rest#Request.MaxRetries).
const retryAfter = "1"

func (r *rejection) Error() string { return r.reason }

// rejectionOf returns the rejection of a body that is not a valid review.
func rejectionOf(err error) *rejection {
	if rejected := new(rejection); errors.As(err, &rejected) {
		return rejected
	}
	return &rejection{http.StatusBadRequest, err.Error()}
}

func reject(log *slog.Logger, w http.ResponseWriter, r *http.Request, rejected *rejection) {
	log.Warn("refused a request", "path", r.URL.Path, "status", rejected.status, "reason", clip(rejected.reason, maxLogged))
	if rejected.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, rejected.reason, rejected.status)
}
