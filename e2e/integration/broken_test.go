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

// badPatch is a patch that does not apply to any pod.
var badPatch = []byte(`[{"op":"replace","path":"/spec/nowhere/0","value":"x"}]`)

// breakage is a way in which a webhook can fail.
type breakage struct {
	name   string
	answer answer // nil: nothing serves
	says   string // what the API server says of it
	always bool   // whatever the failure policy
}

// client is how the API server tries to reach a webhook that fails so.
func (b breakage) client(t *testing.T) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	n := startNeighbour(t, b.answer)
	if b.answer == nil {
		n.server.Close()
	}
	return n.client("")
}

var breakages = []breakage{
	{"nobody listens", nil, "connection refused", false},
	{"nothing", func(http.ResponseWriter, *http.Request, *admissionv1.AdmissionReview) {
		panic(http.ErrAbortHandler) // which closes the connection
	}, "EOF", false},
	{"late", func(_ http.ResponseWriter, r *http.Request, _ *admissionv1.AdmissionReview) {
		<-r.Context().Done()
	}, "context deadline exceeded", false},
	{"an error", func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionReview) {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
	}, "the server is currently unable to handle the request", false},
	{"no review", func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionReview) {
		_, _ = w.Write([]byte("ok"))
	}, "couldn't get version/kind", false},
	{"another's uid", func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		reply(w, review, &admissionv1.AdmissionResponse{UID: "another", Allowed: true})
	}, "expected response.uid", false},
	{"a patch that does not apply", func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		reply(w, review, &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: badPatch, PatchType: new(admissionv1.PatchTypeJSONPatch),
		})
	}, "replace operation does not apply", true},
	{"a patch of no type", func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		reply(w, review, &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: badPatch})
	}, "webhook returned response.patch but not response.patchType", false},
}

// A neighbour that fails, on either side and under either policy: what is let through
// is still mirrored and judged, and what is refused says whose fault it is.
func TestBrokenNeighbours(t *testing.T) {
	for _, b := range breakages {
		for _, policy := range []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Ignore, admissionregistrationv1.Fail} {
			for _, side := range []string{"mutating", "validating"} {
				if side == "validating" && strings.HasPrefix(b.name, "a patch") {
					continue
				}
				t.Run(b.name+"/"+string(policy)+"/"+side, func(t *testing.T) {
					t.Parallel()
					p := standard(t)
					h := hook{"", p.namespace(t, nil), policy, b.client(t)}
					h.name = "broken-" + h.namespace
					if side == "mutating" {
						p.registerMutating(t, h.mutating())
					} else {
						p.registerValidating(t, h.validating())
					}
					if policy == admissionregistrationv1.Fail || b.always {
						p.mustRefuse(t, h.namespace, b.says)
					} else {
						p.mustFailOpen(t, h.namespace, side)
					}
				})
			}
		}
	}
}

// mustRefuse proves that no pod comes into a namespace, and what the API server says.
func (p *plane) mustRefuse(t *testing.T, namespace, says string) {
	t.Helper()
	var err error
	eventually(t, "pods are refused", func() bool {
		_, err = p.try(t, newPod(namespace, "web", "nginx:1.25"))
		return err != nil
	})
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, not %q", err, says)
	}
}

// mustFailOpen proves that pods come in although a webhook of the side has failed,
// mirrored and judged by ours.
func (p *plane) mustFailOpen(t *testing.T, namespace, side string) {
	t.Helper()
	probes := 0
	eventually(t, "a pod is let through", func() bool {
		probes++
		name := "web-" + strconv.Itoa(probes)
		stored, err := p.create(t, newPod(namespace, name, "nginx:1.25"))
		if err != nil || stored.Spec.Containers[0].Image != mirrored {
			t.Fatalf("it was not mirrored: %v", err)
		}
		return p.failedOpen(t, namespace, name, side)
	})
	if _, err := p.create(t, newPod(namespace, "floating", "nginx:latest")); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "validating.image-webhook.dev") {
		t.Errorf("a floating pod: %v", err)
	}
}

// failedOpen reports whether the audit log says that a webhook's failure was ignored.
func (p *plane) failedOpen(t *testing.T, namespace, name, side string) bool {
	t.Helper()
	phase := map[string]string{"mutating": "mutation", "validating": "validating"}[side] // as the API server names them
	for _, annotations := range p.audited(t, namespace, name) {
		for key := range annotations {
			if strings.HasPrefix(key, "failed-open."+phase+".webhook.admission.k8s.io/") {
				return true
			}
		}
	}
	return false
}
