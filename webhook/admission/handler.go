// Package admission answers the reviews of the API server: the AdmissionReviews of
// admission.k8s.io/v1 that it sends to webhooks, and the ImageReviews of
// imagepolicy.k8s.io/v1alpha1 that its plugin ImagePolicyWebhook sends.
//
// The life of a review, one file for each stage: handler.go answers the HTTP request,
// body.go reads its body within bounds, request.go decodes the parts that are judged, a
// verdict decides (mutate.go, deny.go, mode.go; imagereview.go for the plugin), denial.go
// writes the message for the user, log.go records the result.
//
// A verdict on an AdmissionReview is a pure function of the request: nothing is looked up.
// Deny refuses images that must not run, Warn only warns about them, Mutate sends images to
// mirrors and sets their pull policy, UnknownMode warns about the label of a namespace.
// Every rule about images walks the table of package podimages.
//
// A handler takes a POST of application/json of at most maxBody bytes and answers with a
// review, or with a sentence in plain text and the status
//
//	400  the body is not a review that the webhook is registered for
//	405  the method is not POST
//	413  the body is larger than maxBody, or decodes to too many objects
//	415  the content type is not application/json
//	503  the memory for large reviews is in use
//
// For the API server such an answer is a failed call: the failure policy decides.
package admission

import (
	"encoding/json"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
)

// Verdict judges a request. Handler sets the UID of the response.
type Verdict func(*Request) *admissionv1.AdmissionResponse

// Handler answers AdmissionReviews with a verdict, and logs those that deny, warn about or
// change an object.
func Handler(log *slog.Logger, verdict Verdict) http.Handler {
	return handler(log, func(body []byte) (any, error) {
		req, err := decodeRequest(body)
		if err != nil {
			return nil, err
		}
		resp := verdict(req)
		resp.UID = req.UID
		record(log, req, resp)
		return admissionv1.AdmissionReview{TypeMeta: reviewType, Response: resp}, nil
	})
}

// handler answers bodies with reviews. An error of answer means that the body is not a
// valid review.
func handler(log *slog.Logger, answer func(body []byte) (review any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var memory share
		defer memory.release()
		body, rejected := readBody(w, r, &memory)
		if rejected != nil {
			reject(log, w, r, rejected)
			return
		}
		review, err := answer(body)
		if err != nil {
			reject(log, w, r, &rejection{http.StatusBadRequest, err.Error()})
			return
		}
		w.Header().Set("Content-Type", jsonType)
		// An error here means that the API server has closed the connection.
		_ = json.NewEncoder(w).Encode(review)
		recordAnswer(r.Context(), log, r.URL.Path, body, review)
	})
}

// rejection is the answer to an HTTP request that is not a valid review.
type rejection struct {
	status int
	reason string
}

func reject(log *slog.Logger, w http.ResponseWriter, r *http.Request, rejected *rejection) {
	log.Warn("refused a request", "path", r.URL.Path, "status", rejected.status, "reason", clip(rejected.reason, maxLogged))
	http.Error(w, rejected.reason, rejected.status)
}
