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

const mirroredImage = "docker.mirror.example/library/nginx:1.25"

// firstImage returns the first image of the pod in calls, which must be a single call.
func firstImage(t *testing.T, calls []call) string {
	t.Helper()
	if len(calls) != 1 {
		t.Fatalf("got %d calls of the webhook, want 1", len(calls))
	}
	var pod corev1.Pod
	if err := json.Unmarshal(calls[0].request.Object.Raw, &pod); err != nil {
		t.Fatal(err)
	}
	return pod.Spec.Containers[0].Image
}

func TestMutatingRunsBeforeValidating(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	mutatingWebhook, validatingWebhook := startOtherWebhook(t, nil), startOtherWebhook(t, nil)
	server.registerMutating(t, registration{"a-" + namespace, namespace, admissionregistrationv1.Fail, mutatingWebhook.client("")}.mutating())
	server.registerValidating(t, registration{"a-" + namespace, namespace, admissionregistrationv1.Fail, validatingWebhook.client("")}.validating())
	waitUntil(t, "the API server calls both webhooks", func() bool {
		_, err := server.dryRun(t, newPod(namespace, "probe", "nginx:1.25"))
		return err == nil && len(mutatingWebhook.calls(namespace, "probe")) > 0 && len(validatingWebhook.calls(namespace, "probe")) > 0
	})
	if _, err := server.create(t, newPod(namespace, "web", "nginx:1.25")); err != nil {
		t.Fatal(err)
	}
	if got := firstImage(t, mutatingWebhook.calls(namespace, "web")); got != "nginx:1.25" {
		t.Errorf("the mutating webhook before ours got image %q, want %q", got, "nginx:1.25")
	}
	if got := firstImage(t, validatingWebhook.calls(namespace, "web")); got != mirroredImage {
		t.Errorf("the validating webhook got image %q, want %q", got, mirroredImage)
	}
	_, err := server.create(t, newPod(namespace, "latest", "nginx:latest"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `(mirrored to "docker.mirror.example/library/nginx:latest")`) {
		t.Errorf("create a pod with latest: got error %v, want a denial with the mirrored image", err)
	}
}

func TestInjectedContainerIsMirroredAndChecked(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	injector := startOtherWebhook(t, func(w http.ResponseWriter, _ *http.Request, review *admissionv1.AdmissionReview) {
		image := "nginx:1.25"
		if strings.HasPrefix(review.Request.Name, "latest") {
			image = "nginx:latest"
		}
		writeResponse(w, review, &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: new(admissionv1.PatchTypeJSONPatch),
			Patch: []byte(`[{"op":"add","path":"/spec/containers/1","value":{"name":"sidecar","image":"` + image + `","imagePullPolicy":"IfNotPresent"}}]`),
		})
	})
	server.registerMutating(t, registration{"z-" + namespace, namespace, admissionregistrationv1.Fail, injector.client("")}.mutating())
	waitUntil(t, "the API server calls the injector", func() bool {
		pod, err := server.dryRun(t, newPod(namespace, "probe", allowedImage))
		return err == nil && len(pod.Spec.Containers) == 2
	})
	pod, err := server.create(t, newPod(namespace, "web", allowedImage))
	if err != nil {
		t.Fatal(err)
	}
	sidecar := pod.Spec.Containers[1]
	if sidecar.Image != mirroredImage || sidecar.ImagePullPolicy != corev1.PullAlways {
		t.Errorf("the sidecar has image %q and pull policy %s, want %q and Always", sidecar.Image, sidecar.ImagePullPolicy, mirroredImage)
	}
	if _, err := server.create(t, newPod(namespace, "latest", allowedImage)); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `container "sidecar"`) {
		t.Errorf("create a pod that gets a sidecar with latest: got error %v, want a denial of the sidecar", err)
	}
}

func TestDeniedPodUsesNoQuota(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	onePod := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}
	quotas := server.client.CoreV1().ResourceQuotas(namespace)
	quota, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "one-pod"}, Spec: corev1.ResourceQuotaSpec{Hard: onePod},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// No quota controller runs, so the test sets the status.
	quota.Status = corev1.ResourceQuotaStatus{Hard: onePod, Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}
	if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := server.create(t, newPod(namespace, "latest", "nginx:latest")); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "denied the request") {
		t.Errorf("create a pod with latest: got error %v, want a denial by the webhook", err)
	}
	waitUntil(t, "the API server admits the first pod", func() bool {
		_, err = server.create(t, newPod(namespace, "first", "nginx:1.25")) // fails until the API server has read the status of the quota
		return err == nil
	})
	_, err = server.create(t, newPod(namespace, "second", "nginx:1.25"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: one-pod") {
		t.Errorf("create a second pod: got error %v, want that it exceeds the quota", err)
	}
	if pod, err := server.dryRun(t, newPod(server.namespace(t, nil), "second", "nginx:1.25")); err != nil || pod.Spec.Containers[0].Image != mirroredImage {
		t.Errorf("create the second pod without a quota: got error %v, want a pod with image %q", err, mirroredImage)
	}
}

func TestLimitRangeDefaultsAndMirrorApply(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	memory := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	_, err := server.client.CoreV1().LimitRanges(namespace).Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "defaults"},
		Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Default: memory, DefaultRequest: memory}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the API server applies the LimitRange", func() bool {
		pod, err := server.dryRun(t, newPod(namespace, "probe", allowedImage))
		return err == nil && len(pod.Spec.Containers[0].Resources.Limits) > 0
	})
	pod, err := server.create(t, newPod(namespace, "web", "nginx:1.25"))
	if err != nil {
		t.Fatal(err)
	}
	got := pod.Spec.Containers[0]
	if diff := cmp.Diff(corev1.ResourceRequirements{Limits: memory, Requests: memory}, got.Resources); got.Image != mirroredImage || diff != "" {
		t.Errorf("got image %q, want %q; resources differ (-want +got):\n%s", got.Image, mirroredImage, diff)
	}
}

func TestAlwaysPullImagesAppliesToMirroredImage(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	pod := newPod(server.namespace(t, nil), "web", "nginx:1.25")
	pod.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
	stored, err := server.create(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	if got := stored.Spec.Containers[0]; got.Image != mirroredImage || got.ImagePullPolicy != corev1.PullAlways {
		t.Errorf("the container has image %q and pull policy %s, want %q and Always", got.Image, got.ImagePullPolicy, mirroredImage)
	}
}

func TestNamespaceLifecycleRejectsBeforeWebhooks(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	if _, err := server.create(t, newPod("nowhere", "web", "nginx:latest")); !apierrors.IsNotFound(err) {
		t.Errorf("create a pod in a missing namespace: got error %v, want not found", err)
	}
	namespace := server.namespace(t, nil)
	listener := startOtherWebhook(t, nil)
	server.registerMutating(t, registration{"a-" + namespace, namespace, admissionregistrationv1.Fail, listener.client("")}.mutating())
	waitUntil(t, "the API server calls the listener", func() bool {
		_, err := server.dryRun(t, newPod(namespace, "probe", allowedImage))
		return err == nil && len(listener.calls(namespace, "probe")) > 0
	})
	if err := server.client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := server.create(t, newPod(namespace, "web", "nginx:latest"))
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || len(listener.calls(namespace, "web")) > 0 {
		t.Errorf("create a pod in a terminating namespace: got error %v and %d calls of the listener, want a rejection without a call", err, len(listener.calls(namespace, "web")))
	}
}
