package integration

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// otherWebhook is a webhook of the test process, in addition to ours.
type otherWebhook struct {
	server  *httptest.Server
	respond responder

	mu       sync.Mutex
	received []call
}

// call is a request to a webhook, with its path.
type call struct {
	path    string
	request admissionv1.AdmissionRequest
}

// responder answers a review. A nil responder allows the request.
type responder func(w http.ResponseWriter, r *http.Request, review *admissionv1.AdmissionReview)

// startOtherWebhook serves a webhook until the test ends.
func startOtherWebhook(t *testing.T, respond responder) *otherWebhook {
	t.Helper()
	webhook := &otherWebhook{respond: respond}
	webhook.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := webhook.read(r)
		if review == nil {
			http.Error(w, "the request body is not an AdmissionReview", http.StatusBadRequest)
			return
		}
		if webhook.respond != nil {
			webhook.respond(w, r, review)
			return
		}
		writeResponse(w, review, &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true})
	}))
	webhook.server.Config.ErrorLog = log.New(io.Discard, "", 0) // the tests break connections
	webhook.server.StartTLS()
	t.Cleanup(webhook.server.Close)
	return webhook
}

// read reads a review and records it. It returns nil if the body is not a review.
func (w *otherWebhook) read(r *http.Request) *admissionv1.AdmissionReview {
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received = append(w.received, call{r.URL.Path, *review.Request})
	return review
}

// calls returns the recorded calls for an object.
func (w *otherWebhook) calls(namespace, name string) (calls []call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, received := range w.received {
		if received.request.Namespace == namespace && received.request.Name == name {
			calls = append(calls, received)
		}
	}
	return calls
}

func writeResponse(w http.ResponseWriter, review *admissionv1.AdmissionReview, response *admissionv1.AdmissionResponse) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}) // the API server reports a response that it cannot use
}

// client returns the client configuration of the webhook at a path.
func (w *otherWebhook) client(path string) admissionregistrationv1.WebhookClientConfig {
	url := w.server.URL + path
	return admissionregistrationv1.WebhookClientConfig{
		URL:      &url,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw}),
	}
}

// registration is a configuration with one webhook for new pods of a namespace.
type registration struct {
	name      string // the configuration's name: the API server calls mutating webhooks in this order
	namespace string
	policy    admissionregistrationv1.FailurePolicyType
	client    admissionregistrationv1.WebhookClientConfig
}

func (r registration) webhookName() string { return r.name + ".example.com" }

var createPods = []admissionregistrationv1.RuleWithOperations{{
	Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
	Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
}}

// namespaceSelector selects one namespace.
func namespaceSelector(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

func (r registration) mutating() *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: r.webhookName(), ClientConfig: r.client, Rules: createPods, NamespaceSelector: namespaceSelector(r.namespace),
			FailurePolicy: &r.policy, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: new(int32(1)), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func (r registration) validating() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: r.webhookName(), ClientConfig: r.client, Rules: createPods, NamespaceSelector: namespaceSelector(r.namespace),
			FailurePolicy: &r.policy, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: new(int32(1)), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// registerMutating creates a configuration and deletes it when the test ends.
func (s *testServer) registerMutating(t *testing.T, c *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	configurations := s.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = configurations.Delete(suiteContext, c.Name, metav1.DeleteOptions{}) })
}

// registerValidating creates a configuration and deletes it when the test ends.
func (s *testServer) registerValidating(t *testing.T, c *admissionregistrationv1.ValidatingWebhookConfiguration) {
	t.Helper()
	configurations := s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = configurations.Delete(suiteContext, c.Name, metav1.DeleteOptions{}) })
}

// waitUntil waits until condition, which description describes, returns true. The API server
// applies new configurations and labels after a short delay.
func waitUntil(t testing.TB, description string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, wait.ConditionFunc(func() (bool, error) {
		return condition(), nil
	}).WithContext())
	if err != nil {
		t.Fatalf("wait until %s: %v", description, err)
	}
}

// newPod returns a pod with one container.
func newPod(namespace, name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "it", Image: image}}},
	}
}

func (s *testServer) create(t *testing.T, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return s.client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
}

// dryRun creates a pod with a server-side dry run.
func (s *testServer) dryRun(t *testing.T, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return s.client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
