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
// A verdict on an AdmissionReview is a pure function of the rules and the request (rules.go). Deny denies images that
// must not run, Warn only warns about them, Mutate sends images to mirrors and sets their
// pull policy, MutateAndWarn does that and warns, UnknownMode warns about the label of a namespace. Every rule about images
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
)

// Verdict decides about a request by the rules. The response must not refer to the request after the
// handler has answered.
type Verdict func(*Rules, *Request) Response

// Reporting configures what the handlers report to operators.
type Reporting struct {
	Log        *slog.Logger
	LogChanges bool // whether changed objects are logged at level info, instead of debug
	// Observe returns the Observer of a path. operations are those of its reviews, or an empty
	// string for reviews without one. nil: there is no Observer.
	Observe func(path string, operations []string) Observer
}

// reporter reports what the handler of one path does.
type reporter struct {
	log         *slog.Logger
	changeLevel slog.Level
	observer    Observer
}

func (r *Reporting) at(path string, operations []string) *reporter {
	one := &reporter{r.Log, slog.LevelDebug, unobserved{}}
	if r.LogChanges {
		one.changeLevel = slog.LevelInfo
	}
	if r.Observe != nil {
		one.observer = r.Observe(path, operations)
	}
	return one
}

// Handlers returns the handlers by path. The webhook configurations select a path by the
// mode of the namespace. Nothing calls /mutating/warn unless deploy/hybrid is installed. The API
// server's plugin ImagePolicyWebhook uses /image-policy. Nothing
// calls the paths below /namespace-owner unless deploy/namespace-owner is installed.
func Handlers(report Reporting, rules Source) map[string]http.Handler {
	handlers := map[string]http.Handler{}
	add := func(path string, answer answerFunc, operations ...string) {
		handlers[path] = report.at(path, operations).handler(answer)
	}
	add("/validating", admissionReviews(rules, Deny), operationCreate, operationUpdate)
	add("/validating/warn", admissionReviews(rules, Warn), operationCreate, operationUpdate)
	add("/validating/unknown-mode", admissionReviews(rules, UnknownMode), operationCreate, operationUpdate)
	add("/mutating", admissionReviews(rules, Mutate), operationCreate, operationUpdate)
	add("/mutating/warn", admissionReviews(rules, MutateAndWarn), operationCreate, operationUpdate)
	add("/image-policy", imageReviews(rules), "")
	add("/namespace-owner", namespaceOwners(stampRequester), operationCreate)
	add("/namespace-owner/chosen", namespaceOwners(stampChosen), operationCreate)
	return handlers
}

// answerFunc decodes the body of an exchange, appends the answer, and summarizes it. It returns an
// error if the body is not a valid review.
type answerFunc func(*reporter, *exchange) error

// admissionReviews returns the function that answers AdmissionReviews with a verdict, and logs denials,
// warnings and changes.
func admissionReviews(rules Source, verdict Verdict) answerFunc {
	return func(report *reporter, x *exchange) error {
		req, err := decodeReview[Request](x)
		if err != nil {
			return err
		}
		current := rules()
		resp := verdict(current, req)
		report.review(req, &resp)
		x.summary = Summary{Operation: req.Operation, Outcome: resp.outcome(), Disallowed: resp.Disallowed, Changes: resp.Changes}
		x.answer = resp.append(x.answer, req.UID, current.Version)
		return nil
	}
}

// handler returns a handler that answers reviews.
func (r *reporter) handler(answer answerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		start := time.Now()
		x := newExchange()
		defer x.release()
		if rejected := x.readBody(w, request); rejected != nil {
			r.reject(w, request, rejected)
			return
		}
		if err := x.answerInTurn(func(x *exchange) error { return answer(r, x) }); err != nil {
			r.reject(w, request, rejectionOf(err))
			return
		}
		x.writeAnswer(w)
		x.summary.Took = time.Since(start)
		r.observer.Answered(&x.summary)
		r.answer(request.Context(), request.URL.Path, x)
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

// reject answers a request with an HTTP error.
func (r *reporter) reject(w http.ResponseWriter, request *http.Request, rejected *rejection) {
	r.observer.Refused(rejected.status)
	r.log.Warn("refused a request", "path", request.URL.Path, "status", rejected.status, "reason", clip(rejected.reason, maxLogged))
	if rejected.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, rejected.reason, rejected.status)
}
