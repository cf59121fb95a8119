package check

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/webhook/admission"
)

// serverVerdict is what the server does with a pod: the images that it stores, and the fields that its
// denial names.
type serverVerdict struct {
	Stored map[string]string // by field
	Denied map[string]bool   // by field
}

// answer returns the answer of the server's handler for a path.
func answer(t *testing.T, handlers map[string]http.Handler, path string, pod []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: pod},
		},
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
	request.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handlers[path].ServeHTTP(w, request)
	var answered admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answered); w.Code != http.StatusOK || err != nil {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return answered.Response
}

// askServer passes a pod through the handlers in the order of the API server.
func askServer(t *testing.T, handlers map[string]http.Handler, pod *corev1.Pod) serverVerdict {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	if patch := answer(t, handlers, "/mutating", text).Patch; len(patch) > 0 {
		operations, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			t.Fatal(err)
		}
		if text, err = operations.Apply(text); err != nil {
			t.Fatal(err)
		}
	}
	var stored corev1.Pod
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	v := serverVerdict{Stored: fieldsOf(&stored), Denied: map[string]bool{}}
	denial := answer(t, handlers, "/validating", text)
	for field := range v.Stored {
		if !denial.Allowed && strings.Contains(denial.Result.Message, "("+field+")") {
			v.Denied[field] = true
		}
	}
	if denial.Allowed != (len(v.Denied) == 0) {
		t.Errorf("the denial %q names no field", denial.Result.Message)
	}
	return v
}

// fieldsOf returns the images of a pod by their fields.
func fieldsOf(pod *corev1.Pod) map[string]string {
	images := map[string]string{}
	for i, c := range pod.Spec.InitContainers {
		images[fmt.Sprintf("spec.initContainers[%d].image", i)] = c.Image
	}
	for i, c := range pod.Spec.Containers {
		images[fmt.Sprintf("spec.containers[%d].image", i)] = c.Image
	}
	for i, v := range pod.Spec.Volumes {
		if v.Image != nil && v.Image.Reference != "" {
			images[fmt.Sprintf("spec.volumes[%d].image.reference", i)] = v.Image.Reference
		}
	}
	return images
}

// askCheck returns what check says about the manifest of a pod.
func askCheck(t *testing.T, rules *admission.Rules, manifest []byte) serverVerdict {
	t.Helper()
	var r recorder
	if _, err := Run(t.Context(), []string{"-"}, Options{Rules: rules, Stdin: strings.NewReader(string(manifest))}, &r); err != nil || len(r.problems) > 0 {
		t.Fatalf("%v %+v:\n%s", err, r.problems, manifest)
	}
	v := serverVerdict{Stored: map[string]string{}, Denied: map[string]bool{}}
	for _, image := range r.images {
		v.Stored[image.Field] = image.Image
		if image.Mirrored != "" {
			v.Stored[image.Field] = image.Mirrored
		}
		if len(image.Violations) > 0 {
			v.Denied[image.Field] = true
		}
	}
	return v
}

// FuzzParity checks that check and the server store and deny the same images of a pod, whether its manifest
// is YAML or JSON.
func FuzzParity(f *testing.F) {
	for _, images := range [][4]string{
		{"nginx", "quay.io/team/app:1", "busybox", "ghcr.io/x:1"}, {"nginx:1.25.0", "hub.example/library/nginx:1.25.0", "quay.io/prod/a:1", "a:1-snapshot"},
		{"Nginx", "INDEX.docker.io/a", "quay.io:443/team/a:latest", ""}, {"x@sha256:" + strings.Repeat("0", 64), "hub.example/quay/team/a", " ", "1.25"},
		{"hub.example:0443/library/busybox", "yes", "\u2028", "localhost/a"},
	} {
		f.Add(images[0], images[1], images[2], images[3])
	}
	rules := testRules(f)
	handlers := admission.Handlers(admission.Reporting{Log: slog.New(slog.DiscardHandler)}, admission.Fixed(*rules))
	f.Fuzz(func(t *testing.T, first, second, initial, volume string) {
		pod := &corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			Spec: corev1.PodSpec{
				Containers:     []corev1.Container{{Name: "one", Image: first}, {Name: "two", Image: second}},
				InitContainers: []corev1.Container{{Name: "init", Image: initial}},
				Volumes:        []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: volume}}}},
			},
		}
		inJSON, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		// Bytes that are not UTF-8 cannot be in JSON.
		if err := json.Unmarshal(inJSON, pod); err != nil {
			t.Fatal(err)
		}
		manifests := map[string][]byte{"JSON": inJSON}
		if inYAML, err := yaml.Marshal(pod); err == nil { // it refuses control characters
			manifests["YAML"] = inYAML
		}
		want := askServer(t, handlers, pod)
		for name, manifest := range manifests {
			if diff := cmp.Diff(want, askCheck(t, rules, manifest)); diff != "" {
				t.Errorf("%s (-server +check):\n%s", name, diff)
			}
		}
	})
}
