package e2e

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"

	"github.com/image-webhook/image-webhook/tools/checks/certtest"
)

const (
	renewJob  = "renew"       // the CronJob that renews the certificate
	tlsSecret = "webhook-tls" // the Secret with the certificate
)

// yearly is a schedule that does not run during the specs.
const yearly = "0 0 1 1 *"

// pauseRenewal keeps the CronJob from running, because it would repair what the specs break. It
// also makes the CronJob look like one that has just run.
func pauseRenewal(ctx context.Context) {
	GinkgoHelper()
	succeed(ctx, "patch", "cronjob", renewJob, "-n", ownNamespace, "--type=merge", "-p", `{"spec":{"schedule":"`+yearly+`"}}`)
	ran := time.Now().Add(-20 * time.Minute).UTC().Format(time.RFC3339)
	succeed(ctx, "patch", "cronjob", renewJob, "-n", ownNamespace, "--subresource=status", "--type=merge",
		"-p", fmt.Sprintf(`{"status":{"lastScheduleTime":%q,"lastSuccessfulTime":%q}}`, ran, ran))
}

// dropOldCAs runs the CronJob, which drops the CAs of certificates that other specs have replaced.
func dropOldCAs(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() []corev1.Pod { return servers(ctx) }).WithContext(ctx).Should(HaveLen(2)) // one that is terminating needs its CA
	const job = "drop-old-cas"
	succeed(ctx, "create", "job", job, "--from=cronjob/"+renewJob, "-n", ownNamespace)
	DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "job", job, "-n", ownNamespace, "--ignore-not-found") })
	succeed(ctx, "wait", "--for=condition=complete", "job/"+job, "-n", ownNamespace, "--timeout=60s")
}

// renewJobs returns the Jobs of the CronJob, including those that were started manually.
func renewJobs(ctx context.Context) []batchv1.Job {
	GinkgoHelper()
	var jobs batchv1.JobList
	Expect(client.Resources(ownNamespace).List(ctx, &jobs, resources.WithLabelSelector("job="+renewJob))).To(Succeed())
	return jobs.Items
}

// issue creates a CA, and a certificate of it that is valid for one year.
func issue(host string) certtest.Issued {
	GinkgoHelper()
	return certtest.Issue(GinkgoTB(), host, time.Now().Add(-time.Hour), time.Now().Add(365*24*time.Hour))
}

// mountCopy lets the replicas use a copy of the Secret until the container ends. The kubelet can
// deliver a changed Secret at any moment, so a replica could start to serve the broken certificate
// of a spec.
func mountCopy(ctx context.Context) {
	GinkgoHelper()
	copied := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: tlsSecret + "-copy", Namespace: ownNamespace},
		Data:       get(ctx, &corev1.Secret{}, tlsSecret).Data,
	}
	Expect(client.Resources().Create(ctx, copied)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.Resources().Delete(ctx, copied)).To(Succeed()) })
	DeferCleanup(func(ctx SpecContext) { mountSecret(ctx, tlsSecret) })
	mountSecret(ctx, copied.Name)
}

func mountSecret(ctx context.Context, name string) {
	GinkgoHelper()
	update(ctx, &appsv1.Deployment{}, "webhook", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Volumes[0].Secret.SecretName = name })
	succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=90s")
}
