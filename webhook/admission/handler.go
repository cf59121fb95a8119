// Package admission answers the API server's reviews: the AdmissionReviews of
// admission.k8s.io/v1 that it sends to webhooks, and the ImageReviews of
// imagepolicy.k8s.io/v1alpha1 that its plugin ImagePolicyWebhook sends.
//
// A verdict on an AdmissionReview is a pure function of the request: Deny
// refuses images that may not run, Warn only says so, Mutate sends images to
// the mirrors of their registries and has them always pulled, UnknownMode
// speaks up about a namespace. All but the last walk the table of package
// podimages. Handler answers with a verdict, in a review that echoes the
// request's uid. ImageReviews are answered by the policy that Deny has.
//
// Either way a handler takes a POST of application/json of at most MaxBody bytes
// and answers with a review, or with one of
//
//	400  the body is not what the webhook was asked about
//	405  the method is not POST
//	413  the body is larger than MaxBody, or decodes to more than there may be
//	415  the content type is not application/json
//	503  so many large reviews are under way that memory would run out
//
// and a sentence in plain text. To the API server such an answer is a failed
// call, and it does as the failure policy says.
package admission

import (
	"encoding/json"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
)

// Verdict judges a request. Handler fills in the uid of the response.
type Verdict func(*Request) *admissionv1.AdmissionResponse

// Handler answers AdmissionReviews with a verdict, and logs those that deny, warn
// about or change an object.
func Handler(log *slog.Logger, verdict Verdict) http.Handler {
	return handler(log, func(body []byte) (any, error) {
		req, err := Decode(body)
		if err != nil {
			return nil, err
		}
		resp := verdict(req)
		resp.UID = req.UID
		record(log, req, resp)
		return admissionv1.AdmissionReview{TypeMeta: reviewType, Response: resp}, nil
	})
}

// handler answers bodies with reviews; an error is a sentence about what is none.
func handler(log *slog.Logger, answer func(body []byte) (review any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var memory share
		defer memory.release()
		body, refused := receive(w, r, &memory)
		if refused != nil {
			refuse(log, w, r, refused)
			return
		}
		review, err := answer(body)
		if err != nil {
			refuse(log, w, r, &refusal{http.StatusBadRequest, err.Error()})
			return
		}
		w.Header().Set("Content-Type", jsonType)
		// An error here means that the API server has gone away.
		_ = json.NewEncoder(w).Encode(review)
		recordAnswer(r.Context(), log, r.URL.Path, body, review)
	})
}

// refuse answers what is no review.
func refuse(log *slog.Logger, w http.ResponseWriter, r *http.Request, refused *refusal) {
	log.Warn("refused a request", "path", r.URL.Path, "status", refused.status, "reason", clip(refused.reason, maxLogged))
	http.Error(w, refused.reason, refused.status)
}
