package integration

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// badPatch does not apply to any pod.
var badPatch = []byte(`[{"op":"replace","path":"/spec/nowhere/0","value":"x"}]`)

// failure is a way in which another webhook fails.
type failure struct {
	name          string
	respond       responder // nil if the webhook does not listen
	message       string    // the API server's error
	alwaysRejects bool      // the API server rejects the request even if the policy is Ignore
}

// client returns the client configuration of a webhook with this failure.
func (f failure) client(t *testing.T) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	webhook := startOtherWebhook(t, f.respond)
	if f.respond == nil {
		webhook.server.Close()
	}
	return webhook.client("")
}

var failures = []failure{
	{"does not listen", nil, "connection refused", false},
	{"closes the connection", func(http.ResponseWriter, *http.Request, *admissionv1.AdmissionReview) {
		panic(http.ErrAbortHandler) // makes the server close the connection
	}, "EOF", false},
	{"times out", func(_ http.ResponseWriter, r *http.Request, _ *admissionv1.AdmissionReview) {
		<-r.Context().Done()
	}, "context deadline exceeded", false},
	{"returns an HTTP error", func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionReview) {
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	}, "the server is currently unable to handle the request", false},
	{"returns something else than a review", func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionReview) {
		_, _ = w.Write([]byte("ok"))
	}, "couldn't get version/kind", false},
	{"returns another UID", func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		writeResponse(w, review, &admissionv1.AdmissionResponse{UID: "another", Allowed: true})
	}, "expected response.uid", false},
	{"returns a patch that does not apply", func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		writeResponse(w, review, &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: badPatch, PatchType: new(admissionv1.PatchTypeJSONPatch),
		})
	}, "replace operation does not apply", true},
	{"returns a patch without a type", func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		writeResponse(w, review, &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: badPatch})
	}, "webhook returned response.patch but not response.patchType", false},
}

func TestWebhookWorksWhenOtherWebhookFails(t *testing.T) {
	t.Parallel()
	for _, test := range failures {
		for _, policy := range []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Ignore, admissionregistrationv1.Fail} {
			for _, side := range []string{"mutating", "validating"} {
				if side == "validating" && strings.HasPrefix(test.name, "returns a patch") {
					continue
				}
				t.Run(test.name+"/"+string(policy)+"/"+side, func(t *testing.T) {
					t.Parallel()
					server := standardServer(t)
					hook := registration{"", server.namespace(t, nil), policy, test.client(t)}
					hook.name = "broken-" + hook.namespace
					if side == "mutating" {
						server.registerMutating(t, hook.mutating())
					} else {
						server.registerValidating(t, hook.validating())
					}
					if policy == admissionregistrationv1.Fail || test.alwaysRejects {
						server.mustReject(t, hook.namespace, test.message)
					} else {
						server.mustFailOpen(t, hook.namespace, side)
					}
				})
			}
		}
	}
}

// mustReject checks that the API server rejects pods in a namespace, with a message.
func (s *testServer) mustReject(t *testing.T, namespace, message string) {
	t.Helper()
	var err error
	waitUntil(t, "the API server rejects pods", func() bool {
		_, err = s.dryRun(t, newPod(namespace, "web", "nginx:1.25"))
		return err != nil
	})
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) || !strings.Contains(err.Error(), message) {
		t.Errorf("got error %v, want it to contain %q", err, message)
	}
}

// mustFailOpen checks that our webhook mirrors and denies pods although another webhook
// has failed; side is "mutating" or "validating".
func (s *testServer) mustFailOpen(t *testing.T, namespace, side string) {
	t.Helper()
	probes := 0
	waitUntil(t, "the API server ignores a failure", func() bool {
		probes++
		name := "web-" + strconv.Itoa(probes)
		stored, err := s.create(t, newPod(namespace, name, "nginx:1.25"))
		if err != nil || stored.Spec.Containers[0].Image != mirroredImage {
			t.Fatalf("pod %s was not created with image %s: %v", name, mirroredImage, err)
		}
		return s.failedOpen(t, namespace, name, side)
	})
	if _, err := s.create(t, newPod(namespace, "latest", "nginx:latest")); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "validating.image-webhook.dev") {
		t.Errorf("create a pod with latest: got error %v, want a denial by validating.image-webhook.dev", err)
	}
}

// failedOpen reports whether the audit log has an ignored failure of a webhook for a pod.
func (s *testServer) failedOpen(t *testing.T, namespace, name, side string) bool {
	t.Helper()
	phase := map[string]string{"mutating": "mutation", "validating": "validating"}[side] // the names in the annotations
	for _, annotations := range s.auditAnnotations(t, namespace, name) {
		for key := range annotations {
			if strings.HasPrefix(key, "failed-open."+phase+".webhook.admission.k8s.io/") {
				return true
			}
		}
	}
	return false
}

// TestAPIServerRepeatsCallsAfterRetryAfter shows why the webhook's answer 503 has the header
// Retry-After: without it, the API server rejects the request at once.
func TestAPIServerRepeatsCallsAfterRetryAfter(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	busy := startOtherWebhook(t, nil)
	busy.respond = func(w http.ResponseWriter, r *http.Request, review *admissionv1.AdmissionReview) {
		if len(busy.calls(review.Request.Namespace, review.Request.Name)) == 1 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many reviews are in flight: try again", http.StatusServiceUnavailable)
			return
		}
		writeResponse(w, review, &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true})
	}
	hook := registration{"", server.namespace(t, nil), admissionregistrationv1.Fail, busy.client("")}
	hook.name = "busy-" + hook.namespace
	registered := hook.validating()
	registered.Webhooks[0].TimeoutSeconds = new(int32(5)) // as in deploy/05-webhookconfigure.yaml
	server.registerValidating(t, registered)
	probes, name := 0, ""
	waitUntil(t, "the API server calls the webhook", func() bool {
		probes++
		name = "web-" + strconv.Itoa(probes)
		if _, err := server.create(t, newPod(hook.namespace, name, "nginx:1.25")); err != nil {
			t.Fatalf("create pod %s: %v", name, err)
		}
		return len(busy.calls(hook.namespace, name)) > 0
	})
	if got := len(busy.calls(hook.namespace, name)); got != 2 {
		t.Errorf("got %d calls for pod %s, want one that was refused and one that was repeated", got, name)
	}
}
