// Package admission answers the API server's AdmissionReviews: a review of
// admission.k8s.io/v1 in, a verdict out.
//
// A verdict is a pure function of the request: Deny refuses images that can
// change under their name, Mirror sends images to the mirrors of their
// registries. Both walk the table of package podimages. Handler does the
// rest, the same for every verdict: it takes a POST of application/json of at
// most MaxBody bytes and answers with a review that echoes the request's uid,
// or with one of
//
//	400  the body is not what the webhook was asked about
//	405  the method is not POST
//	413  the body is larger than MaxBody
//	415  the content type is not application/json
//
// and a sentence in plain text. The API server puts such an answer into its
// own error and then does as the failure policy says.
package admission

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// MaxBody bounds the body of a review. The API server takes objects of at
// most 3 MiB, and a review can hold two of them, the new one and the old one.
const MaxBody = 8 << 20

// Verdict judges a request. Handler fills in the uid of the response.
type Verdict func(*Request) *admissionv1.AdmissionResponse

// Handler answers reviews with a verdict, and logs those that deny or change
// an object.
func Handler(log *slog.Logger, verdict Verdict) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, refused := receive(w, r)
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

// receive reads the review of an HTTP request.
func receive(w http.ResponseWriter, r *http.Request) (*Request, *refusal) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &refusal{http.StatusMethodNotAllowed, "an AdmissionReview must be sent by POST"}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, &refusal{http.StatusUnsupportedMediaType, "the content type must be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "the body is larger than 8 MiB"}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
	}
	req, err := Decode(body)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, err.Error()}
	}
	return req, nil
}

// record logs what a person may later ask about: who was refused, and which
// image became which.
func record(log *slog.Logger, req *Request, resp *admissionv1.AdmissionResponse) {
	if !resp.Allowed {
		log.Info("denied", who(req), slog.String("reason", clip(resp.Result.Message, maxLogged)))
	}
	if len(resp.Patch) > 0 {
		rewrites := slices.Sorted(maps.Values(resp.AuditAnnotations))
		log.Info("mirrored", who(req), slog.String("images", clip(strings.Join(rewrites, ", "), maxLogged)))
	}
}

// who names the object of a request for the log.
func who(req *Request) slog.Attr {
	return slog.Group("",
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("pod", clip(req.Object.DisplayName(), maxQuoted)))
}
