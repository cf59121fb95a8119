// Package admission answers the reviews of the API server: the AdmissionReviews of
// admission.k8s.io/v1 that it sends to webhooks, and the ImageReviews of
// imagepolicy.k8s.io/v1alpha1 that its plugin ImagePolicyWebhook sends.
//
// Each stage of a review has a file: handler.go answers the HTTP request, body.go reads its
// body within limits, request.go decodes the fields that are checked, a verdict decides
// (mutate.go, deny.go, mode.go; imagereview.go for the plugin), denial.go writes the message
// for the user, log.go logs the result.
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
//	413  the body is larger than maxBody, or decodes to too many objects
//	415  the content type is not application/json
//	503  the memory for large reviews is in use
//
// The API server treats an error as a failed call, so the failure policy decides.
package admission

import (
	"encoding/json"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
)

// Verdict decides about a request. Handler sets the UID of the response.
type Verdict func(*Request) *admissionv1.AdmissionResponse

// Handler returns a handler that answers AdmissionReviews with a verdict, and logs denials,
// warnings and changes.
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

// handler returns a handler that answers bodies with reviews. answer returns an error if the
// body is not a valid review.
func handler(log *slog.Logger, answer func(body []byte) (review any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var memory reservation
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
