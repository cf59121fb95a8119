package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s"
)

const policyAnnotation = "image-webhook.dev/failure-policy"

// damage is one way to break the installation. The output of the plugin is compared with
// testdata/status/FILE.txt.
type damage struct {
	file  string
	cause func(ctx SpecContext) // restores the installation with DeferCleanup
}

// secretDamages cannot be fixed while the replicas use a copy of the Secret: see mountCopy. The
// tests of `certgen renew` fix them.
var secretDamages = []damage{
	{"secret-for-another-host", func(ctx SpecContext) {
		edit(ctx, &corev1.Secret{}, tlsSecret, func(s *corev1.Secret) { s.Data = issue("other.example").Data() })
	}},
	{"key-of-another-certificate", func(ctx SpecContext) {
		edit(ctx, &corev1.Secret{}, tlsSecret, func(s *corev1.Secret) { s.Data["key"] = issue("other.example").Key })
	}},
	{"secret-renewed-without-06", func(ctx SpecContext) {
		edit(ctx, &corev1.Secret{}, tlsSecret, func(s *corev1.Secret) { s.Data = issue("webhook.image-webhook.svc").Data() })
	}},
	{"old-certificate-served", serveOldCertificate},
}

// policyDamages have no command that a spec can run: one edits the file, and 04 also replaces the
// Deployment of the suite. The replicas keep their policy.
var policyDamages = []damage{
	{"policy-file-invalid", func(ctx SpecContext) {
		edit(ctx, &corev1.ConfigMap{}, policyConfigMap, func(c *corev1.ConfigMap) {
			c.Data[policyKey] = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\ndisallowedTags: [latest, 1.10]\n"
		})
	}},
	{"policy-file-missing", func(ctx SpecContext) {
		keep(ctx, &corev1.ConfigMap{}, policyConfigMap)
		succeed(ctx, "delete", "configmap", policyConfigMap, "-n", ownNamespace)
	}},
}

var damages = []damage{
	{"ca-bundle-removed", func(ctx SpecContext) {
		editValidating(ctx, warningConfiguration, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = nil
		})
	}},
	{"ca-bundle-of-another-ca", func(ctx SpecContext) {
		editMutating(ctx, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = issue("other.example").CA
		})
	}},
	{"ca-bundle-with-another-ca", func(ctx SpecContext) {
		editMutating(ctx, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = append(c.Webhooks[0].ClientConfig.CABundle, issue("other.example").CA...)
		})
	}},
	{"webhook-removed", func(ctx SpecContext) {
		editValidating(ctx, warningConfiguration, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) { c.Webhooks = c.Webhooks[:2] })
	}},
	{"configuration-deleted", func(ctx SpecContext) {
		configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		keep(ctx, configuration, warningConfiguration)
		succeed(ctx, "delete", "validatingwebhookconfiguration", warningConfiguration)
	}},
	{"additional-selector-key", func(ctx SpecContext) {
		edit(ctx, &corev1.Service{}, "webhook", func(s *corev1.Service) { s.Spec.Selector["track"] = "canary" })
	}},
	{"address-claimed", claimAddress},
	{"scaled-to-zero", func(ctx SpecContext) {
		DeferCleanup(func(ctx SpecContext) {
			succeed(ctx, "scale", "deployment/webhook", "-n", ownNamespace, "--replicas=2")
			succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=60s")
		})
		succeed(ctx, "scale", "deployment/webhook", "-n", ownNamespace, "--replicas=0")
	}},
	{"cronjob-suspended", func(ctx SpecContext) {
		edit(ctx, &batchv1.CronJob{}, renewJob, func(c *batchv1.CronJob) { c.Spec.Suspend = new(true) })
	}},
	{"cronjob-missing", func(ctx SpecContext) {
		keep(ctx, &batchv1.CronJob{}, renewJob)
		succeed(ctx, "delete", "cronjob", renewJob, "-n", ownNamespace)
	}},
	{"unknown-mode", func(ctx SpecContext) {
		succeed(ctx, "label", "namespace", newNamespace(ctx), "image-webhook.dev/mode=of")
	}},
}

// formDamages returns the damages that only one form can have. The files of the hybrid form have its
// name.
func formDamages() []damage {
	if hybrid {
		return []damage{
			{"hybrid-policy-deleted", func(ctx SpecContext) {
				keep(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{}, ownPolicy)
				succeed(ctx, "delete", "validatingadmissionpolicy", ownPolicy)
			}},
			{"hybrid-policy-only-audits", func(ctx SpecContext) {
				edit(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, ownPolicy, func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
					b.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit}
				})
			}},
			{"hybrid-webhook-left", leaveWebhook},
		}
	}
	return []damage{
		{"ignore-instead-of-fail", func(ctx SpecContext) { ignore(ctx, "Fail") }},
		{"never-set-to-fail", func(ctx SpecContext) { ignore(ctx, "") }},
		{"rules-changed", func(ctx SpecContext) {
			editValidating(ctx, ownConfiguration, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
				c.Webhooks[0].Rules, c.Webhooks[0].TimeoutSeconds = c.Webhooks[0].Rules[:1], new(int32(30))
			})
		}},
		{"policy-left", func(ctx SpecContext) {
			DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "-f", manifest(policyManifest), "--ignore-not-found") })
			succeed(ctx, "apply", "-f", manifest(policyManifest))
		}},
	}
}

const (
	ownPolicy      = "image-webhook" // the policy of the hybrid form, and its binding for the mode deny
	policyManifest = "hybrid/policy.yaml"
)

// leaveWebhook creates the configuration of the webhook that denies in the other form. It applies to no
// namespace.
func leaveWebhook(ctx SpecContext) {
	GinkgoHelper()
	left := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ownConfiguration},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:              "validating.image-webhook.dev",
			ClientConfig:      get(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{}, warningConfiguration).Webhooks[0].ClientConfig,
			FailurePolicy:     new(admissionregistrationv1.Ignore),
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "none"}},
			Rules:             []admissionregistrationv1.RuleWithOperations{rule("", "pods")},
			SideEffects:       new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}
	Expect(client.Resources().Create(ctx, left)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		succeed(ctx, "delete", "validatingwebhookconfiguration", ownConfiguration, "--ignore-not-found")
	})
}

// Serial, because these specs break the installation that all other specs use.
var _ = Describe("status", Label(devCluster, "status"), Serial, Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx SpecContext) {
		uninstallNamespaceOwner(ctx) // it is optional, and has webhooks
		mountCopy(ctx)
		dropOldCAs(ctx)
		keep(ctx, &batchv1.CronJob{}, renewJob)
	}, NodeTimeout(5*time.Minute))

	BeforeEach(func(ctx SpecContext) {
		pauseRenewal(ctx)
		DeferCleanup(func(ctx SpecContext) { webhookServes(ctx) })
	})

	It("finds nothing wrong with a healthy installation", func(ctx SpecContext) {
		expectStatus(ctx, "healthy", "status")
	})

	for _, d := range slices.Concat(secretDamages, policyDamages) {
		It("explains: "+strings.ReplaceAll(d.file, "-", " "), func(ctx SpecContext) {
			d.cause(ctx)
			expectStatus(ctx, d.file, "status")
		})
	}

	for _, d := range slices.Concat(damages, formDamages()) {
		It("explains, and fixes with its commands: "+strings.ReplaceAll(d.file, "-", " "), func(ctx SpecContext) {
			d.cause(ctx)
			expectStatus(ctx, d.file, "status")
			runFixes(ctx)
			Eventually(func() string { return runPlugin(ctx, "status") }).WithContext(ctx).Should(ContainSubstring("\nhealthy: 0 problems, 0 unknown, 0 warnings"))
		}, SpecTimeout(2*time.Minute))
	}

	It("names the namespace of the installation", func(ctx SpecContext) {
		expectStatus(ctx, "wrong-namespace", "status", "--namespace=default")
	})

	It("reports an API server that does not answer", func(ctx SpecContext) {
		expectStatus(ctx, "no-answer", "status", "--server=https://127.0.0.1:1")
	})

	It("does no check without rights", func(ctx SpecContext) {
		expectStatus(ctx, "no-rights", "status", "--as=nobody")
	})

	It("needs only these rights", func(ctx SpecContext) {
		grant(ctx, right{})
		Eventually(func() string { return notOK(ctx, "status", "--as="+viewer) }).WithContext(ctx).Should(BeEmpty())
	})

	It("names each missing right, and goes on", func(ctx SpecContext) {
		var transcript strings.Builder
		for _, missing := range statusRights {
			grant(ctx, missing)
			fmt.Fprintf(&transcript, "# without the right to %s:\n%s", missing, notOK(ctx, "status", "--as="+viewer))
		}
		compareFile("missing-rights", transcript.String())
	}, SpecTimeout(3*time.Minute))

	It("prints the same checks as JSON", func(ctx SpecContext) {
		expectStatus(ctx, "healthy-json", "status", "--output=json")
	})
})

// keep creates or updates the object again after the spec, as it is now. It stores it in object.
func keep[T k8s.Object](ctx context.Context, object T, name string) {
	GinkgoHelper()
	get(ctx, object, name)
	saved := object.DeepCopyObject().(T)
	DeferCleanup(func(ctx SpecContext) {
		Eventually(func() error { return restore(ctx, saved, name) }).WithContext(ctx).Should(Succeed())
	})
}

// restore returns an error if a controller has changed the object in between.
func restore[T k8s.Object](ctx context.Context, saved T, name string) error {
	current := saved.DeepCopyObject().(T)
	err := client.Resources().Get(ctx, name, ownNamespace, current)
	if apierrors.IsNotFound(err) {
		saved.SetResourceVersion("")
		saved.SetUID("")
		return client.Resources().Create(ctx, saved)
	} else if err != nil {
		return err
	}
	saved.SetUID(current.GetUID())
	saved.SetResourceVersion(current.GetResourceVersion())
	return client.Resources().Update(ctx, saved)
}

// edit changes an object until the spec ends.
func edit[T k8s.Object](ctx context.Context, object T, name string, change func(T)) {
	GinkgoHelper()
	keep(ctx, object, name)
	update(ctx, object, name, change)
}

// update changes an object. It tries again if a controller has changed the object in between.
func update[T k8s.Object](ctx context.Context, object T, name string, change func(T)) {
	GinkgoHelper()
	Eventually(func() error {
		change(get(ctx, object, name))
		return client.Resources().Update(ctx, object)
	}).WithContext(ctx).Should(Succeed())
}

func editValidating(ctx context.Context, name string, change func(*admissionregistrationv1.ValidatingWebhookConfiguration)) {
	GinkgoHelper()
	edit(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{}, name, change)
}

func editMutating(ctx context.Context, change func(*admissionregistrationv1.MutatingWebhookConfiguration)) {
	GinkgoHelper()
	edit(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}, ownConfiguration, change)
}

// ignore sets the webhook that denies to Ignore. recorded is the policy that certgen has
// recorded, or "".
func ignore(ctx context.Context, recorded string) {
	GinkgoHelper()
	editValidating(ctx, ownConfiguration, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
		delete(c.Annotations, policyAnnotation)
		if recorded != "" {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, policyAnnotation, recorded)
		}
		*c.Webhooks[0].FailurePolicy = admissionregistrationv1.Ignore
	})
}

// claimAddress creates a Service that claims the address of the webhook as that of its load balancer:
// the API server of the dev cluster refuses externalIPs. It has another port, so that the webhook
// keeps working.
func claimAddress(ctx SpecContext) {
	GinkgoHelper()
	claim := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "claim", Namespace: newNamespace(ctx)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 444}}},
	}
	Expect(client.Resources().Create(ctx, claim)).To(Succeed())
	claim.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: get(ctx, &corev1.Service{}, "webhook").Spec.ClusterIP}}
	Expect(client.Resources().UpdateStatus(ctx, claim)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		succeed(ctx, "delete", "service", claim.Name, "-n", claim.Namespace, "--ignore-not-found")
	})
}

// serveOldCertificate adds a replica that serves a certificate of another CA, like one that does
// not load a new Secret.
func serveOldCertificate(ctx SpecContext) {
	GinkgoHelper()
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: tlsSecret + "-old", Namespace: ownNamespace}, Data: issue("webhook.image-webhook.svc").Data()}
	template := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template
	template.Spec.Volumes[0].Secret.SecretName = old.Name
	replica := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "webhook-old", Namespace: ownNamespace, Labels: template.Labels}, Spec: template.Spec}
	for _, object := range []k8s.Object{old, replica} {
		Expect(client.Resources().Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			succeed(ctx, "delete", strings.ToLower(fmt.Sprintf("%T", object)[len("*v1."):]), object.GetName(), "-n", ownNamespace, "--now", "--timeout=60s")
		})
	}
	succeed(ctx, "wait", "pod/webhook-old", "-n", ownNamespace, "--for=condition=Ready", "--timeout=60s")
}
