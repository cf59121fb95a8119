package e2e

import (
	"context"
	"encoding/pem"
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/e2e-framework/klient/k8s"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/specrunner/reviewlog"
)

// takesLong is the priority of what is begun first, so that nothing waits for it at
// the end.
const takesLong = 1

// own is the webhook's namespace, and the name of its configurations.
const own = "image-webhook"

// These specs change the installation, one after the other, while all the others use
// it: nobody may notice.
var _ = Describe("installation", Label(devCluster), Ordered, ContinueOnFailure, SpecPriority(takesLong), func() {
	// A cleanup, because the cleanups of the specs come before it.
	BeforeEach(func() { DeferCleanup(func(ctx SpecContext) { webhookServes(ctx) }) })

	It("is not asked about kube-system, kube-node-lease and its own namespace", func(ctx SpecContext) {
		for _, namespace := range []string{own, "kube-system", "kube-node-lease"} {
			pod := newPod(namespace, "nginx:latest")
			Expect(dryRun(ctx, pod)).To(Succeed(), namespace)
			Expect(pod.Spec.Containers[0].Image).To(Equal("nginx:latest"), namespace)
		}
	})

	It("fails closed for denying and open for all else", func(ctx SpecContext) {
		Expect(failurePolicies(ctx)).To(Equal(installed))
	})

	It("works after each numbered manifest was applied again, and both Jobs ran again without harm", func(ctx SpecContext) {
		secret, bundle := get(ctx, &corev1.Secret{}, "webhook-tls"), caBundle(ctx)
		removeJobs(ctx)
		for _, step := range []struct{ file, job string }{
			{file: "01-namespace.yaml"},
			{file: "02-rbac.yaml"},
			{file: "03-certgen.yaml", job: "certgen"},
			{file: "04-webhook.yaml"},
			{file: "05-webhookconfigure.yaml"},
			{file: "06-patch-webhookconfigure.yaml", job: "patch-webhookconfigure"},
		} {
			By("apply " + step.file)
			applyAndWait(ctx, step.file, step.job)
			webhookServes(ctx)
			Expect(caBundle(ctx)).To(Equal(bundle), "after "+step.file)
		}
		Expect(get(ctx, &corev1.Secret{}, "webhook-tls").Data).To(Equal(secret.Data), "a sound certificate is kept")
		Expect(failurePolicies(ctx)).To(Equal(installed))
	})

	// After it, the servers have the old certificate until the kubelet brings the new one,
	// for up to a minute. To set Fail, a Job of 06 would wait for that: nothing that does
	// so comes later.
	It("repairs a Secret that was lost, by both Jobs at once, and stays trusted meanwhile", func(ctx SpecContext) {
		old := get(ctx, &corev1.Secret{}, "webhook-tls")
		removeJobs(ctx)
		succeed(ctx, "delete", "secret", "webhook-tls", "-n", own)
		succeed(ctx, "create", "-f", manifest("03-certgen.yaml"), "-f", manifest("06-patch-webhookconfigure.yaml"))
		complete(ctx, "certgen")
		complete(ctx, "patch-webhookconfigure")
		repaired := get(ctx, &corev1.Secret{}, "webhook-tls")
		Expect(repaired.Data["key"]).NotTo(Equal(old.Data["key"]))
		Expect(caBundle(ctx)).To(HavePrefix(string(repaired.Data["ca"])))
		current, _ := pem.Decode(old.Data["ca"]) // what the servers' certificate was issued by
		Expect(caBundle(ctx)).To(ContainSubstring(string(pem.EncodeToMemory(current))), "the old CA stays trusted")
		webhookServes(ctx)
		Expect(failurePolicies(ctx)).To(Equal(installed))
	})

	It("has two servers that hold no token of a service account", func(ctx SpecContext) {
		Expect(get(ctx, &appsv1.Deployment{}, "webhook").Status.ReadyReplicas).To(BeEquivalentTo(2))
		for _, pod := range servers(ctx) {
			Expect(pod.Spec.Volumes).To(HaveExactElements(HaveField("Name", "tls")), pod.Name)
		}
	})

	It("replaces its servers while they are asked, and answers all the time", func(ctx SpecContext) {
		succeed(ctx, "rollout", "restart", "deployment/webhook", "-n", own)
		rolledOut := make(chan said, 1)
		go func() {
			defer GinkgoRecover()
			rolledOut <- execKubectl(ctx, "", "rollout", "status", "deployment/webhook", "-n", own, "--timeout=90s")
		}()
		asked := 0
		for ; len(rolledOut) == 0; asked++ {
			Expect(askAtOnce(ctx)).To(Succeed())
		}
		Expect((<-rolledOut).Exit).To(BeZero())
		Expect(asked).To(BeNumerically(">", 10), "meanwhile")
	})
})

// Serial, because no server answers meanwhile.
var _ = Describe("installation", Label(devCluster), Serial, func() {
	It("can be healed when no server answers: only new images of other namespaces wait for it", func(ctx SpecContext) {
		namespace, warned, off := newNamespace(ctx), newNamespace(ctx), newNamespace(ctx)
		setMode(ctx, warned, "warn")
		setMode(ctx, off, "off")
		runAndWait(ctx, namespace, "web", "nginx:1.25")
		DeferCleanup(func(ctx SpecContext) {
			By("start them again")
			succeed(ctx, "scale", "deployment/webhook", "-n", own, "--replicas=2")
			succeed(ctx, "rollout", "status", "deployment/webhook", "-n", own, "--timeout=60s")
			webhookServes(ctx)
		})
		By("stop all servers")
		cluster, _ := openMirror(ctx)
		succeed(ctx, "scale", "deployment/webhook", "-n", own, "--replicas=0")
		Eventually(func() []corev1.Pod { return servers(ctx) }).WithContext(ctx).
			Should(HaveEach(HaveField("DeletionTimestamp", Not(BeNil()))), "all are told to stop")
		Expect(cluster.EndStopping(ctx)).To(Succeed())
		Eventually(func() error { return dryRun(ctx, newPod(namespace, "nginx:1.25")) }).WithContext(ctx).
			Should(MatchError(ContainSubstring(`failed calling webhook "validating.image-webhook.dev"`)))

		By("find new images refused, and nothing else")
		for _, other := range []string{own, "kube-system", warned, off} {
			Expect(dryRun(ctx, newPod(other, "nginx:1.25"))).To(Succeed(), other)
		}
		Expect(kubectl(ctx, "create", "deployment", "web", "--image=nginx:latest", "-n", namespace)).
			To(Equal(said{Stdout: "deployment.apps/web created\n"}), "nothing waits for a warning")
		succeed(ctx, "label", "pod/web", "tier=front", "-n", namespace)
		succeed(ctx, "patch", "pod/web", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`, "-n", namespace)
		succeed(ctx, "patch", "pod/web", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`, "-n", namespace)
		succeed(ctx, "label", "namespace", namespace, "image-webhook.dev/mode=of")
		succeed(ctx, "delete", "pod/web", "-n", namespace, "--now", "--timeout=60s")
	})
})

// servers are the webhook's pods, those that are to stop among them.
func servers(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(client.Resources(own).List(ctx, &pods, resources.WithLabelSelector("app.kubernetes.io/component=webhook"))).To(Succeed())
	return pods.Items
}

// askers is how many ask at once: each has a connection of its own.
const askers = 8

// askAtOnce has the webhook mirror one pod and deny another, for each of the askers. An
// error is one that a person could have got.
func askAtOnce(ctx context.Context) error {
	asking, ctx := errgroup.WithContext(ctx)
	for range askers {
		asking.Go(func() error {
			pod := newPod(dryRuns, "nginx:1.25")
			if err := dryRun(ctx, pod); err != nil {
				return err
			}
			if image := pod.Spec.Containers[0].Image; image != "docker.mirror.example/library/nginx:1.25" {
				return fmt.Errorf("nginx:1.25 became %s", image)
			}
			if err := dryRun(ctx, newPod(dryRuns, "nginx:latest")); !apierrors.IsForbidden(err) {
				return fmt.Errorf("nginx:latest was not denied: %v", err)
			}
			return nil
		})
	}
	return asking.Wait()
}

// registered is what the API server knows of a webhook.
type registered struct {
	policy   admissionregistrationv1.FailurePolicyType
	caBundle string
}

// registrations are all webhooks of the installation, by name.
func registrations(ctx context.Context) map[string]registered {
	GinkgoHelper()
	found := map[string]registered{}
	for _, name := range []string{own, own + "-warnings"} {
		for _, w := range get(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{}, name).Webhooks {
			found[w.Name] = registered{*w.FailurePolicy, string(w.ClientConfig.CABundle)}
		}
	}
	for _, w := range get(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}, own).Webhooks {
		found[w.Name] = registered{*w.FailurePolicy, string(w.ClientConfig.CABundle)}
	}
	return found
}

// failurePolicies are those of all webhooks, by name.
func failurePolicies(ctx context.Context) map[string]admissionregistrationv1.FailurePolicyType {
	GinkgoHelper()
	policies := map[string]admissionregistrationv1.FailurePolicyType{}
	for name, webhook := range registrations(ctx) {
		policies[name] = webhook.policy
	}
	return policies
}

// installed are the failure policies at the end of an installation.
var installed = map[string]admissionregistrationv1.FailurePolicyType{
	"validating.image-webhook.dev":   "Fail",
	"warn.image-webhook.dev":         "Ignore",
	"workloads.image-webhook.dev":    "Ignore",
	"unknown-mode.image-webhook.dev": "Ignore",
	"mutating.image-webhook.dev":     "Ignore",
}

// caBundle is the denying webhook's, which must be that of all others too.
func caBundle(ctx context.Context) string {
	GinkgoHelper()
	all := registrations(ctx)
	bundle := all["validating.image-webhook.dev"].caBundle
	for name, webhook := range all {
		Expect(webhook.caBundle).To(Equal(bundle), name)
	}
	return bundle
}

// get reads an object of the webhook's namespace, or one that has none.
func get[T k8s.Object](ctx context.Context, object T, name string) T {
	GinkgoHelper()
	Expect(client.Resources().Get(ctx, name, own, object)).To(Succeed())
	return object
}

// removeJobs makes room for them to run again: a finished Job that is applied
// once more does nothing until it has removed itself.
func removeJobs(ctx context.Context) {
	GinkgoHelper()
	succeed(ctx, "delete", "job", "certgen", "patch-webhookconfigure", "-n", own, "--ignore-not-found")
}

// applyAndWait applies a manifest, with the image and the flags that the suite has given
// the Deployment, and waits for its Job, or for the rollout.
func applyAndWait(ctx context.Context, file, job string) {
	GinkgoHelper()
	content, err := os.ReadFile(manifest(file))
	Expect(err).NotTo(HaveOccurred())
	image := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template.Spec.Containers[0].Image
	applied := kubectlWith(ctx, devcluster.ForDeployment(file, string(content), image, reviewlog.Flags...), "apply", "-f", "-")
	Expect(applied.Exit).To(BeZero(), applied.Stderr)
	switch {
	case job != "":
		complete(ctx, job)
	case file == "04-webhook.yaml":
		succeed(ctx, "rollout", "status", "deployment/webhook", "-n", own, "--timeout=90s")
	}
}

func complete(ctx context.Context, job string) {
	GinkgoHelper()
	succeed(ctx, "wait", "--for=condition=complete", "job", "-l", "job="+job, "-n", own, "--timeout=60s")
}
