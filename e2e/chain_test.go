package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var _ = Describe("chain", func() {
	It("mirrors the sidecar that another webhook adds after ours", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		injectSidecar(ctx, namespace, "busybox:1.36")
		var pod *corev1.Pod
		Eventually(func(g Gomega) { // the API server starts to call a new webhook after a short delay
			pod = newPod(namespace, "nginx:1.25")
			g.Expect(dryRun(ctx, pod)).To(Succeed())
			g.Expect(pod.Spec.Containers).To(HaveLen(2))
		}).WithContext(ctx).Should(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal("docker.mirror.example/library/nginx:1.25"))
		Expect(pod.Spec.Containers[1].Image).To(Equal("docker.mirror.example/library/busybox:1.36"))
	})

	It("denies a sidecar with the tag latest that another webhook adds after ours", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		injectSidecar(ctx, namespace, "busybox:latest")
		Eventually(func() error { return dryRun(ctx, newPod(namespace, "nginx:1.25")) }).WithContext(ctx).Should(MatchError(ContainSubstring(
			`container "sidecar" (spec.containers[1].image) uses image "busybox:latest" (mirrored to "docker.mirror.example/library/busybox:latest")`)))
	})
})

// injectSidecar registers a webhook that adds a container to new pods of a namespace.
// The name of its configuration sorts after ours, so the API server calls it after ours.
func injectSidecar(ctx SpecContext, namespace, image string) {
	GinkgoHelper()
	patch := admissionv1.PatchTypeJSONPatch
	hook := startHostWebhook(ctx, func(*admissionv1.AdmissionReview, []byte) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, PatchType: &patch,
			Patch: []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"sidecar","image":"` + image + `"}}]`)}
	})
	onCreate := rule("", "pods")
	onCreate.Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Create}
	hook.registerMutating(ctx, "z-sidecar-"+namespace, admissionregistrationv1.MutatingWebhook{
		Name:              "sidecar.e2e.image-webhook.dev",
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
		Rules:             []admissionregistrationv1.RuleWithOperations{onCreate},
	})
}
