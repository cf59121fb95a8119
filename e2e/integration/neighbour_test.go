package integration

import (
	"encoding/json"
	"encoding/pem"
	"errors"
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

// neighbour is another webhook of the API server, served by the test itself.
type neighbour struct {
	server *httptest.Server

	mu   sync.Mutex
	seen []question
}

// question is what a neighbour was asked, and at which path.
type question struct {
	path    string
	request admissionv1.AdmissionRequest
}

// answer is what a neighbour does about a review; nil allows.
type answer func(w http.ResponseWriter, r *http.Request, review *admissionv1.AdmissionReview)

// startNeighbour serves until the test ends.
func startNeighbour(t *testing.T, answer answer) *neighbour {
	t.Helper()
	n := &neighbour{}
	n.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := n.read(r)
		if review == nil {
			http.Error(w, "this is no AdmissionReview", http.StatusBadRequest)
			return
		}
		if answer != nil {
			answer(w, r, review)
			return
		}
		reply(w, review, &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true})
	}))
	n.server.Config.ErrorLog = log.New(io.Discard, "", 0) // the tests break connections
	n.server.StartTLS()
	t.Cleanup(n.server.Close)
	return n
}

// read reads a review and remembers what was asked.
func (n *neighbour) read(r *http.Request) *admissionv1.AdmissionReview {
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, question{r.URL.Path, *review.Request})
	return review
}

// asked returns what the neighbour was asked about an object.
func (n *neighbour) asked(namespace, name string) (questions []question) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range n.seen {
		if q.request.Namespace == namespace && q.request.Name == name {
			questions = append(questions, q)
		}
	}
	return questions
}

func reply(w http.ResponseWriter, review *admissionv1.AdmissionReview, response *admissionv1.AdmissionResponse) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}) // the API server reports what it cannot use
}

// client is how the API server reaches the neighbour.
func (n *neighbour) client(path string) admissionregistrationv1.WebhookClientConfig {
	url := n.server.URL + path
	return admissionregistrationv1.WebhookClientConfig{
		URL:      &url,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.server.Certificate().Raw}),
	}
}

// hook is a webhook of a configuration that is asked about new pods of a namespace.
type hook struct {
	name      string // of the configuration: they are asked in the order of their names
	namespace string
	policy    admissionregistrationv1.FailurePolicyType
	client    admissionregistrationv1.WebhookClientConfig
}

func (h hook) webhookName() string { return h.name + ".example.com" }

var createPods = []admissionregistrationv1.RuleWithOperations{{
	Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
	Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
}}

// only selects one namespace.
func only(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

func (h hook) mutating() *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: h.name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: h.webhookName(), ClientConfig: h.client, Rules: createPods, NamespaceSelector: only(h.namespace),
			FailurePolicy: &h.policy, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: new(int32(1)), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func (h hook) validating() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: h.name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: h.webhookName(), ClientConfig: h.client, Rules: createPods, NamespaceSelector: only(h.namespace),
			FailurePolicy: &h.policy, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: new(int32(1)), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// registerMutating registers mutating webhooks until the test ends.
func (p *plane) registerMutating(t *testing.T, c *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	configurations := p.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = configurations.Delete(all, c.Name, metav1.DeleteOptions{}) })
}

// registerValidating registers validating webhooks until the test ends.
func (p *plane) registerValidating(t *testing.T, c *admissionregistrationv1.ValidatingWebhookConfiguration) {
	t.Helper()
	configurations := p.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = configurations.Delete(all, c.Name, metav1.DeleteOptions{}) })
}

// eventually waits until the API server has learned of something.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, wait.ConditionFunc(func() (bool, error) {
		return done(), nil
	}).WithContext())
	if err != nil {
		t.Fatal(errors.Join(errors.New(what), err))
	}
}

// newPod is a pod with one container.
func newPod(namespace, name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "it", Image: image}}},
	}
}

// create creates a pod.
func (p *plane) create(t *testing.T, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return p.client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
}

// try asks whether a pod could be created.
func (p *plane) try(t *testing.T, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return p.client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
