package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// typedHandlers returns handlers as many webhooks have them: encoding/json decodes the review and
// then the pods to the types of Kubernetes, and encodes the answer.
func typedHandlers() (map[string]http.Handler, error) {
	return map[string]http.Handler{mutating: typedHandler(typedMutate), validating: typedHandler(typedValidate)}, nil
}

// typedVerdict decides about a pod. old is nil unless the pod is updated.
type typedVerdict func(pod, old *corev1.Pod) (*admissionv1.AdmissionResponse, error)

func typedHandler(verdict typedVerdict) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := typedAnswer(body, verdict)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}

func typedAnswer(body []byte, verdict typedVerdict) ([]byte, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, err
	}
	if review.Request == nil {
		return nil, errors.New("the review has no request")
	}
	pod, old, err := typedPods(review.Request)
	if err != nil {
		return nil, err
	}
	resp, err := verdict(pod, old)
	if err != nil {
		return nil, err
	}
	resp.UID = review.Request.UID
	return json.Marshal(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: resp})
}

// typedPods returns the pod of a request, and the old pod of an update.
func typedPods(request *admissionv1.AdmissionRequest) (pod, old *corev1.Pod, err error) {
	pod = new(corev1.Pod)
	if err := json.Unmarshal(request.Object.Raw, pod); err != nil || request.Operation != admissionv1.Update {
		return pod, nil, err
	}
	old = new(corev1.Pod)
	return pod, old, json.Unmarshal(request.OldObject.Raw, old)
}

func typedMutate(pod, old *corev1.Pod) (*admissionv1.AdmissionResponse, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	var operations []operation
	for pointer, c := range newContainers(pod, old) {
		if mirrored, ok := mirrorOf(c.Image); ok {
			operations = append(operations, operation{"replace", pointer, mirrored})
		}
	}
	resp := &admissionv1.AdmissionResponse{Allowed: true}
	if len(operations) == 0 {
		return resp, nil
	}
	kind := admissionv1.PatchTypeJSONPatch
	resp.PatchType = &kind
	var err error
	resp.Patch, err = json.Marshal(operations)
	return resp, err
}

func typedValidate(pod, old *corev1.Pod) (*admissionv1.AdmissionResponse, error) {
	if image, found := latestImage(pod, old); found {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: fmt.Sprintf("the tag of image %q is not allowed", image)}}, nil
	}
	return &admissionv1.AdmissionResponse{Allowed: true}, nil
}
