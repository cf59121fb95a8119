package e2e

import (
	"context"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

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

// longSpecPriority makes long specs start first, so that the run does not wait for them
// at its end.
const longSpecPriority = 1

const (
	ownNamespace         = "image-webhook"
	ownConfiguration     = "image-webhook"          // configuration of the mutating and of the denying webhook
	warningConfiguration = "image-webhook-warnings" // configuration of the webhooks that only warn
	policyConfigMap      = "image-policy"           // ConfigMap of the policy file
)

// These specs change the installation while other specs use it. They must not affect the
// other specs.
var _ = Describe("installation", Label(devCluster), Ordered, ContinueOnFailure, SpecPriority(longSpecPriority), func() {
	// This cleanup is registered first, so it runs after the cleanups of the spec.
	BeforeEach(func() { DeferCleanup(func(ctx SpecContext) { webhookServes(ctx) }) })

	It("ignores kube-system, kube-node-lease and its own namespace", func(ctx SpecContext) {
		for _, namespace := range []string{ownNamespace, "kube-system", "kube-node-lease"} {
			pod := newPod(namespace, "nginx:latest")
			Expect(dryRun(ctx, pod)).To(Succeed(), namespace)
			Expect(pod.Spec.Containers[0].Image).To(Equal("nginx:latest"), namespace)
		}
	})

	It("fails closed for the denying webhook and open for all others", func(ctx SpecContext) {
		Expect(failurePolicies(ctx)).To(Equal(installedPolicies()))
	})

	It("works after each numbered manifest is applied and each Job runs a second time", func(ctx SpecContext) {
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
		Expect(get(ctx, &corev1.Secret{}, "webhook-tls").Data).To(Equal(secret.Data), "a valid certificate is kept")
		Expect(failurePolicies(ctx)).To(Equal(installedPolicies()))
	})

	It("has two servers without a service account token", func(ctx SpecContext) {
		Expect(get(ctx, &appsv1.Deployment{}, "webhook").Status.ReadyReplicas).To(BeEquivalentTo(2))
		for _, pod := range servers(ctx) {
			Expect(pod.Spec.Volumes).To(HaveExactElements(HaveField("Name", "tls"), HaveField("Name", "policy")), pod.Name)
		}
	})

	It("answers all requests during a rolling update of its servers", func(ctx SpecContext) {
		succeed(ctx, "rollout", "restart", "deployment/webhook", "-n", ownNamespace)
		rolledOut := make(chan result, 1)
		go func() {
			defer GinkgoRecover()
			rolledOut <- execKubectl(ctx, "", "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=90s")
		}()
		rounds := 0
		for ; len(rolledOut) == 0; rounds++ {
			Expect(createConcurrently(ctx)).To(Succeed())
		}
		Expect((<-rolledOut).Exit).To(BeZero())
		Expect(rounds).To(BeNumerically(">", 10), "rounds of requests during the rollout")
	})
})

// Serial, because these specs replace the certificate, redirect the Service, and stop all servers.
var _ = Describe("installation", Label(devCluster), Serial, func() {
	// After this spec, the servers use the old certificate until the kubelet updates the
	// volume, which takes up to a minute.
	It("repairs a lost Secret when both Jobs run at once, and keeps the API server's trust", func(ctx SpecContext) {
		old := get(ctx, &corev1.Secret{}, "webhook-tls")
		removeJobs(ctx)
		succeed(ctx, "delete", "secret", "webhook-tls", "-n", ownNamespace)
		content, err := os.ReadFile(manifest("03-certgen.yaml"))
		Expect(err).NotTo(HaveOccurred())
		const lastArgument = "- --secret-name=webhook-tls"
		Expect(string(content)).To(ContainSubstring(lastArgument))
		quick := strings.Replace(string(content), lastArgument, lastArgument+"\n            - --settle=2s", 1)
		Expect(kubectlWith(ctx, quick, "create", "-f", "-").Exit).To(BeZero())
		succeed(ctx, "create", "-f", formManifest("06-patch-webhookconfigure.yaml"))
		waitForJob(ctx, "certgen")
		waitForJob(ctx, "patch-webhookconfigure")
		repaired := get(ctx, &corev1.Secret{}, "webhook-tls")
		Expect(repaired.Data["key"]).NotTo(Equal(old.Data["key"]))
		Expect(caBundle(ctx)).To(HavePrefix(string(repaired.Data["ca"])))
		current, _ := pem.Decode(old.Data["ca"]) // the CA of the certificate that the servers use
		Expect(caBundle(ctx)).To(ContainSubstring(string(pem.EncodeToMemory(current))), "the old CA stays trusted")
		webhookServes(ctx)
		Expect(failurePolicies(ctx)).To(Equal(installedPolicies()))
	})

	It("stops at a changed selector of the Service while the webhook still fails closed, and names the command that helps", func(ctx SpecContext) {
		cluster, _ := openMirror(ctx)
		image := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template.Spec.Containers[0].Image
		removal := []string{"patch", "service", "webhook", "-n", ownNamespace, "--type=merge", "-p", `{"spec":{"selector":{"tier":null}}}`}
		DeferCleanup(func(ctx SpecContext) {
			succeed(ctx, removal...)
			Expect(cluster.Refresh(ctx, image, reviewlog.Flags...)).To(Succeed())
		})
		succeed(ctx, "patch", "service", "webhook", "-n", ownNamespace, "--type=merge", "-p", `{"spec":{"selector":{"tier":"front"}}}`)
		Expect(cluster.Install(ctx, image, reviewlog.Flags...)).To(MatchError(`apply deploy/04-webhook.yaml: ` +
			`check Service webhook: its selector also has "tier", which is not in the manifest, so kubectl apply keeps it: ` +
			`run kubectl patch service webhook -n image-webhook --type=merge -p '{"spec":{"selector":{"tier":null}}}'`))
		Expect(failurePolicies(ctx)).To(Equal(installedPolicies()))
		succeed(ctx, removal...)
		Expect(cluster.Refresh(ctx, image, reviewlog.Flags...)).To(Succeed())
	})

	It("blocks only new images of namespaces with mode deny while no server answers, and recovers", func(ctx SpecContext) {
		namespace, warnNamespace, offNamespace := newNamespace(ctx), newNamespace(ctx), newNamespace(ctx)
		setMode(ctx, warnNamespace, "warn")
		setMode(ctx, offNamespace, "off")
		runAndWait(ctx, namespace, "web", "nginx:1.25")
		DeferCleanup(func(ctx SpecContext) {
			By("start the servers again")
			succeed(ctx, "scale", "deployment/webhook", "-n", ownNamespace, "--replicas=2")
			succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=60s")
			webhookServes(ctx)
		})
		By("stop all servers")
		cluster, _ := openMirror(ctx)
		succeed(ctx, "scale", "deployment/webhook", "-n", ownNamespace, "--replicas=0")
		Eventually(func(g Gomega) { // a server may only start after the first attempt, if a rollout has just begun
			g.Expect(cluster.KillTerminating(ctx)).To(Succeed())
			g.Expect(servers(ctx)).To(BeEmpty(), "servers that are left")
		}).WithContext(ctx).Should(Succeed())
		waitUntilNoServerAnswers(ctx, namespace)

		By("check that all other requests succeed")
		for _, other := range []string{ownNamespace, "kube-system", warnNamespace, offNamespace} {
			Expect(dryRun(ctx, newPod(other, "nginx:1.25"))).To(Succeed(), other)
		}
		pod := newPod(warnNamespace, "nginx:1.25")
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal(imageWithoutServers("nginx:1.25", "docker.mirror.example/library/nginx:1.25")))
		Expect(kubectl(ctx, "create", "deployment", "web", "--image=nginx:latest", "-n", namespace)).
			To(Equal(result{
				Stdout: "deployment.apps/web created\n",
				Stderr: warningOfFiles("-workloads", "-workloads", latestDenial(`container "nginx" (spec.template.spec.containers[0].image)`, "nginx:latest", "")),
			}), "a webhook that only warns does not block the request")
		succeed(ctx, "label", "pod/web", "tier=front", "-n", namespace)
		succeed(ctx, "patch", "pod/web", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`, "-n", namespace)
		succeed(ctx, "patch", "pod/web", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`, "-n", namespace)
		succeed(ctx, "label", "namespace", namespace, "image-webhook.dev/mode=of")
		succeed(ctx, "delete", "pod/web", "-n", namespace, "--now", "--timeout=60s")
	})
})

// servers returns the pods of the webhook, including those that are terminating.
func servers(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(client.Resources(ownNamespace).List(ctx, &pods, resources.WithLabelSelector("app.kubernetes.io/component=webhook"))).To(Succeed())
	return pods.Items
}

// concurrentClients is the number of clients in createConcurrently. Each has its own
// connection.
const concurrentClients = 8

// createConcurrently makes each client create one pod that must be mirrored and one that
// must be denied. It returns an error for any other response.
func createConcurrently(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range concurrentClients {
		group.Go(func() error {
			pod := newPod(dryRuns, "nginx:1.25")
			if err := dryRun(ctx, pod); err != nil {
				return err
			}
			if image := pod.Spec.Containers[0].Image; image != "docker.mirror.example/library/nginx:1.25" {
				return fmt.Errorf("image nginx:1.25 was not mirrored: the pod has %q", image)
			}
			if err := dryRun(ctx, newPod(dryRuns, "nginx:latest")); !apierrors.IsForbidden(err) {
				return fmt.Errorf("image nginx:latest was not denied: %v", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// registeredWebhook holds the tested fields of a webhook in a configuration.
type registeredWebhook struct {
	policy   admissionregistrationv1.FailurePolicyType
	caBundle string
}

// registeredWebhooks returns all webhooks of the installation by name.
func registeredWebhooks(ctx context.Context) map[string]registeredWebhook {
	GinkgoHelper()
	webhooks := map[string]registeredWebhook{}
	validating := []string{ownConfiguration, warningConfiguration}
	if hybrid {
		validating = []string{warningConfiguration}
	}
	for _, name := range validating {
		for _, webhook := range get(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{}, name).Webhooks {
			webhooks[webhook.Name] = registeredWebhook{*webhook.FailurePolicy, string(webhook.ClientConfig.CABundle)}
		}
	}
	for _, webhook := range get(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}, ownConfiguration).Webhooks {
		webhooks[webhook.Name] = registeredWebhook{*webhook.FailurePolicy, string(webhook.ClientConfig.CABundle)}
	}
	return webhooks
}

// failurePolicies returns the failure policies of all webhooks by name.
func failurePolicies(ctx context.Context) map[string]admissionregistrationv1.FailurePolicyType {
	GinkgoHelper()
	policies := map[string]admissionregistrationv1.FailurePolicyType{}
	for name, webhook := range registeredWebhooks(ctx) {
		policies[name] = webhook.policy
	}
	return policies
}

// installedPolicies returns the failure policies after an installation.
func installedPolicies() map[string]admissionregistrationv1.FailurePolicyType {
	policies := map[string]admissionregistrationv1.FailurePolicyType{
		"warn.image-webhook.dev":         "Ignore",
		"workloads.image-webhook.dev":    "Ignore",
		"unknown-mode.image-webhook.dev": "Ignore",
		"mutating.image-webhook.dev":     "Ignore",
	}
	if !hybrid {
		policies["validating.image-webhook.dev"] = "Fail"
	}
	return policies
}

// caBundle returns the CA bundle of the webhooks. It fails the spec if they differ.
func caBundle(ctx context.Context) string {
	GinkgoHelper()
	webhooks := registeredWebhooks(ctx)
	bundle := webhooks["mutating.image-webhook.dev"].caBundle
	for name, webhook := range webhooks {
		Expect(webhook.caBundle).To(Equal(bundle), name)
	}
	return bundle
}

// get reads an object in the webhook's namespace, or a cluster-scoped object.
func get[T k8s.Object](ctx context.Context, object T, name string) T {
	GinkgoHelper()
	Expect(client.Resources().Get(ctx, name, ownNamespace, object)).To(Succeed())
	return object
}

// removeJobs deletes the Jobs, so that they can run again. Applying an existing Job has no
// effect.
func removeJobs(ctx context.Context) {
	GinkgoHelper()
	succeed(ctx, "delete", "job", "certgen", "patch-webhookconfigure", "-n", ownNamespace, "--ignore-not-found")
}

// applyAndWait applies a manifest with the image and the flags that the suite uses in the
// Deployment, and waits for the Job of the manifest or for the rollout.
func applyAndWait(ctx context.Context, file, job string) {
	GinkgoHelper()
	content, err := os.ReadFile(formManifest(file))
	Expect(err).NotTo(HaveOccurred())
	applied, isDeployment := string(content), file == "04-webhook.yaml"
	if isDeployment {
		image := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template.Spec.Containers[0].Image
		applied = devcluster.CustomizeDeployment(applied, image, reviewlog.Flags...)
	}
	result := kubectlWith(ctx, applied, "apply", "-f", "-")
	Expect(result.Exit).To(BeZero(), result.Stderr)
	switch {
	case job != "":
		waitForJob(ctx, job)
	case isDeployment:
		succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=90s")
	}
}

func waitForJob(ctx context.Context, job string) {
	GinkgoHelper()
	succeed(ctx, "wait", "--for=condition=complete", "job", "-l", "job="+job, "-n", ownNamespace, "--timeout=60s")
}
