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

// Handler answers reviews with a verdict, and logs those that deny, warn about
// or change an object.
func Handler(log *slog.Logger, verdict Verdict) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var memory share
		defer memory.release()
		req, refused := receive(w, r, &memory)
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
