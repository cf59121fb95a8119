package chaos

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// answer returns the error of an answer with a status.
func answer(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

func podWith(image string) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
}

func TestClassify(t *testing.T) {
	const (
		webhookDenies = `admission webhook "validating.image-webhook.dev" denied the request: container "web" uses image "nginx:latest"`
		webhookFails  = `Internal error occurred: failed calling webhook "validating.image-webhook.dev": failed to call webhook: x509: certificate signed by unknown authority`
	)
	mirror, deny := request{}, request{denied: true}
	denial := answer(http.StatusForbidden, metav1.StatusReasonForbidden, webhookDenies)
	failure := answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, webhookFails)
	policy := answer(http.StatusForbidden, metav1.StatusReasonForbidden,
		`pods "chaos" is forbidden: ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request: container "web" uses image "nginx:latest"`)
	quota := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "chaos", errors.New("exceeded quota"))
	connection := &url.Error{Op: "Post", URL: "https://127.0.0.1:1", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
	for _, test := range []struct {
		name    string
		request request
		image   string
		err     error
		want    outcome
	}{
		{"a mirrored image", mirror, mirrorImage, nil, mirrored},
		{"an unchanged image", mirror, mirroredImage, nil, notMirrored},
		{"another image", mirror, "docker.mirror.example/nginx:1.25", nil, notMirrored},
		{"a denial", deny, "", denial, denied},
		{"a denial of the policy", deny, "", policy, denied},
		{"a denial of the policy, of the wrong image", mirror, "", policy, refused},
		{"a denied image that was admitted", deny, deniedImage, nil, notDenied},
		{"a denied image that was admitted and mirrored", deny, mirrorImage, nil, notDenied},
		{"a denial of the wrong image", mirror, "", denial, refused},
		{"a webhook that fails", mirror, "", failure, refused},
		{"a webhook that fails, for a denied image", deny, "", failure, refused},
		{"another refusal, for a denied image", deny, "", quota, refused},
		{"a webhook that is too slow", mirror, "", answer(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "failed calling webhook: context deadline exceeded"), refused},
		{"a refused connection", mirror, "", connection, noAnswer},
		{"a refused connection, for a denied image", deny, "", connection, noAnswer},
		{"a busy API server", mirror, "", answer(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many requests"), noAnswer},
		{"an API server that stops", deny, "", answer(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "shutting down"), noAnswer},
		{"an API server that has not read the roles yet", mirror, "", answer(http.StatusForbidden, metav1.StatusReasonForbidden,
			`pods is forbidden: User "kubernetes-admin" cannot create resource "pods" in API group "" in the namespace "chaos-x"`), noAnswer},
		{"an API server without its storage", mirror, "", answer(http.StatusInternalServerError, "", "etcdserver: request timed out"), noAnswer},
	} {
		got := classify(test.request, podWith(test.image), test.err)
		if got.outcome != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got.outcome, test.want)
		}
		if expected := got.outcome == mirrored || got.outcome == denied; expected != (got.message == "") {
			t.Errorf("%s: the message is %q", test.name, got.message)
		}
	}
}

func TestVerdictNamesTheImage(t *testing.T) {
	want := verdict{notMirrored, `a pod with image "nginx:1.25" has image "nginx:1.25", want "docker.mirror.example/library/nginx:1.25"`}
	if diff := cmp.Diff(want, classify(request{}, podWith("nginx:1.25"), nil), cmp.AllowUnexported(verdict{})); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}
