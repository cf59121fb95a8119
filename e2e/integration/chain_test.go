package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

const mirrored = "docker.mirror.example/library/nginx:1.25"

// seenImage is the first image of the pod that a webhook was asked about.
func seenImage(t *testing.T, questions []question) string {
	t.Helper()
	if len(questions) != 1 {
		t.Fatalf("asked %d times", len(questions))
	}
	var pod corev1.Pod
	if err := json.Unmarshal(questions[0].request.Object.Raw, &pod); err != nil {
		t.Fatal(err)
	}
	return pod.Spec.Containers[0].Image
}

// Mutating webhooks come first, in the order of their configurations' names, then the
// validating ones, which see what will be stored.
func TestMutatingBeforeValidating(t *testing.T) {
	t.Parallel()
	p := standard(t)
	namespace := p.namespace(t, nil)
	before, after := startNeighbour(t, nil), startNeighbour(t, nil)
	p.registerMutating(t, hook{"a-" + namespace, namespace, admissionregistrationv1.Fail, before.client("")}.mutating())
	p.registerValidating(t, hook{"a-" + namespace, namespace, admissionregistrationv1.Fail, after.client("")}.validating())
	eventually(t, "both are asked", func() bool {
		_, err := p.try(t, newPod(namespace, "probe", "nginx:1.25"))
		return err == nil && len(before.asked(namespace, "probe")) > 0 && len(after.asked(namespace, "probe")) > 0
	})
	if _, err := p.create(t, newPod(namespace, "web", "nginx:1.25")); err != nil {
		t.Fatal(err)
	}
	if got := seenImage(t, before.asked(namespace, "web")); got != "nginx:1.25" {
		t.Errorf("the mutating webhook before ours saw %s", got)
	}
	if got := seenImage(t, after.asked(namespace, "web")); got != mirrored {
		t.Errorf("the validating webhook saw %s", got)
	}
	_, err := p.create(t, newPod(namespace, "floating", "nginx:latest"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `(mirrored to "docker.mirror.example/library/nginx:latest")`) {
		t.Errorf("our validating webhook did not see the mirrored image: %v", err)
	}
}

// A container that another webhook adds after ours is mirrored and judged all the same.
func TestSidecar(t *testing.T) {
	t.Parallel()
	p := standard(t)
	namespace := p.namespace(t, nil)
	injector := startNeighbour(t, func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		image := "nginx:1.25"
		if strings.HasPrefix(review.Request.Name, "floating") {
			image = "nginx:latest"
		}
		reply(w, review, &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: new(admissionv1.PatchTypeJSONPatch),
			Patch: []byte(`[{"op":"add","path":"/spec/containers/1","value":{"name":"sidecar","image":"` + image + `","imagePullPolicy":"IfNotPresent"}}]`),
		})
	})
	p.registerMutating(t, hook{"z-" + namespace, namespace, admissionregistrationv1.Fail, injector.client("")}.mutating())
	eventually(t, "the injector is asked", func() bool {
		pod, err := p.try(t, newPod(namespace, "probe", other))
		return err == nil && len(pod.Spec.Containers) == 2
	})
	pod, err := p.create(t, newPod(namespace, "web", other))
	if err != nil {
		t.Fatal(err)
	}
	sidecar := pod.Spec.Containers[1]
	if sidecar.Image != mirrored || sidecar.ImagePullPolicy != corev1.PullAlways {
		t.Errorf("the sidecar has %s, %s", sidecar.Image, sidecar.ImagePullPolicy)
	}
	if _, err := p.create(t, newPod(namespace, "floating", other)); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `container "sidecar"`) {
		t.Errorf("a floating sidecar: %v", err)
	}
}

// The webhook would admit the pod, the quota does not; and what the webhook denies
// takes nothing of the quota.
func TestResourceQuota(t *testing.T) {
	t.Parallel()
	p := standard(t)
	namespace := p.namespace(t, nil)
	one := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}
	quotas := p.client.CoreV1().ResourceQuotas(namespace)
	quota, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "one-pod"}, Spec: corev1.ResourceQuotaSpec{Hard: one},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// What the quota controller would do.
	quota.Status = corev1.ResourceQuotaStatus{Hard: one, Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}
	if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.create(t, newPod(namespace, "floating", "nginx:latest")); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "denied the request") {
		t.Errorf("a floating pod: %v", err)
	}
	eventually(t, "the first pod is admitted", func() bool {
		_, err = p.create(t, newPod(namespace, "first", "nginx:1.25")) // the API server may not have seen the quota's status yet
		return err == nil
	})
	_, err = p.create(t, newPod(namespace, "second", "nginx:1.25"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: one-pod") {
		t.Errorf("a second pod: %v", err)
	}
	if pod, err := p.try(t, newPod(p.namespace(t, nil), "second", "nginx:1.25")); err != nil || pod.Spec.Containers[0].Image != mirrored {
		t.Errorf("the same pod without the quota: %v", err)
	}
}

// The defaults of a LimitRange and the mirror meet in one pod.
func TestLimitRanger(t *testing.T) {
	t.Parallel()
	p := standard(t)
	namespace := p.namespace(t, nil)
	memory := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	_, err := p.client.CoreV1().LimitRanges(namespace).Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "defaults"},
		Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Default: memory, DefaultRequest: memory}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the defaults are set", func() bool {
		pod, err := p.try(t, newPod(namespace, "probe", other))
		return err == nil && len(pod.Spec.Containers[0].Resources.Limits) > 0
	})
	pod, err := p.create(t, newPod(namespace, "web", "nginx:1.25"))
	if err != nil {
		t.Fatal(err)
	}
	got := pod.Spec.Containers[0]
	if diff := cmp.Diff(corev1.ResourceRequirements{Limits: memory, Requests: memory}, got.Resources); got.Image != mirrored || diff != "" {
		t.Errorf("image %s, resources (-want +got):\n%s", got.Image, diff)
	}
}

// AlwaysPullImages is on: the mirrored image is the one that is always pulled.
func TestAlwaysPullImages(t *testing.T) {
	t.Parallel()
	p := standard(t)
	pod := newPod(p.namespace(t, nil), "web", "nginx:1.25")
	pod.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
	stored, err := p.create(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	if got := stored.Spec.Containers[0]; got.Image != mirrored || got.ImagePullPolicy != corev1.PullAlways {
		t.Errorf("it has %s, %s", got.Image, got.ImagePullPolicy)
	}
}

// What a namespace does not let in, no webhook is asked about.
func TestNamespaceLifecycle(t *testing.T) {
	t.Parallel()
	p := standard(t)
	if _, err := p.create(t, newPod("nowhere", "web", "nginx:latest")); !apierrors.IsNotFound(err) {
		t.Errorf("without its namespace: %v", err)
	}
	namespace := p.namespace(t, nil)
	listener := startNeighbour(t, nil)
	p.registerMutating(t, hook{"a-" + namespace, namespace, admissionregistrationv1.Fail, listener.client("")}.mutating())
	eventually(t, "the listener is asked", func() bool {
		_, err := p.try(t, newPod(namespace, "probe", other))
		return err == nil && len(listener.asked(namespace, "probe")) > 0
	})
	if err := p.client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := p.create(t, newPod(namespace, "web", "nginx:latest"))
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || len(listener.asked(namespace, "web")) > 0 {
		t.Errorf("in a namespace that ends: asked %d times, %v", len(listener.asked(namespace, "web")), err)
	}
}
