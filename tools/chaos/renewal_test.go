package chaos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
)

func TestLinesNameTheirStep(t *testing.T) {
	for line, want := range map[string]string{
		"Secret image-webhook/webhook-tls staged (requested by the annotation)":             "staged",
		"Secret image-webhook/webhook-tls has a staged certificate: valid until 2027-01-31": "staged",
		"ValidatingWebhookConfiguration image-webhook: published the CA":                    "published",
		"settled: API servers that have the new CA for 5s: 1":                               "settled",
		"Secret image-webhook/webhook-tls promoted the staged certificate":                  "promoted",
		"replicas serve the new certificate: 2":                                             "replicas serve",
		"ValidatingWebhookConfiguration image-webhook: dropped 1 CA that no replica needs":  "dropped",
		"Secret image-webhook/webhook-tls unchanged: valid until 2027-01-31":                "",
		"": "",
	} {
		if got := stepIn(line); got != want {
			t.Errorf("%q names the step %q, want %q", line, got, want)
		}
	}
}

func TestRenewalJobRunsOnceWithAnotherSettleTime(t *testing.T) {
	cronJob := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "renew"},
		Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"job": "renew"}},
			Spec: batchv1.JobSpec{
				BackoffLimit: new(int32(2)), TTLSecondsAfterFinished: new(int32(30)), ActiveDeadlineSeconds: new(int64(900)),
				Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyOnFailure,
					Containers:    []corev1.Container{{Name: "renew", Args: []string{"renew", "--settle=1m", "--settled=no"}}},
				}},
			},
		}},
	}
	original := cronJob.DeepCopy()
	want := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "renew-chaos-",
			Labels:       map[string]string{"job": "renew", "image-webhook.dev/chaos": "true"},
			Annotations:  map[string]string{"cronjob.kubernetes.io/instantiate": "manual"},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)), ActiveDeadlineSeconds: new(int64(900)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "renew", Args: []string{"renew", "--settled=no", "--settle=5s"}}},
			}},
		},
	}
	if diff := cmp.Diff(want, newRenewalJob(cronJob, 5*time.Second)); diff != "" {
		t.Errorf("Job (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(original, cronJob); diff != "" {
		t.Errorf("the CronJob was changed (-want +got):\n%s", diff)
	}
}

func TestManifestsOfJobsExist(t *testing.T) {
	for _, hybrid := range []bool{false, true} {
		steps := deploy.FormSteps(hybrid)
		for manifest, want := range map[string]string{certgenManifest: "certgen", patchManifest: "patch-webhookconfigure"} {
			job, err := readJob(steps, manifest)
			if err != nil {
				t.Fatal(err)
			}
			if job.Name != want || job.Namespace != webhookNamespace {
				t.Errorf("%s has the Job %s/%s, want %s/%s", manifest, job.Namespace, job.Name, webhookNamespace, want)
			}
		}
		if _, err := readJob(steps, "09-x.yaml"); err == nil || err.Error() != "there is no deploy/09-x.yaml" {
			t.Errorf("a manifest that does not exist: %v", err)
		}
	}
}

func TestEachJobIsKilledAfterAnotherStep(t *testing.T) {
	var k kills
	killed := 0
	for _, job := range [][]string{
		{"staged", "published", "published"}, // the signal arrives after the next step
		{"staged", "published", "settled"},
		{"staged", "settled"},
		{"staged", "settled", "published"}, // completes
	} {
		earlier := len(k)
		for _, step := range job {
			k.reach(earlier, step, func() { killed++ })
		}
	}
	if killed != 3 {
		t.Errorf("%d Jobs were killed, want 3", killed)
	}
	const want = "the Job was killed after: staged (and published), published (and settled), settled"
	if diff := cmp.Diff(want, k.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}
