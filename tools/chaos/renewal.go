package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// renewalSteps are the steps of a renewal in their order, by the words that the log of the Job has
// after each step. A line belongs to the last step that it names.
var renewalSteps = []string{"staged", "published", "settled", "promoted", "replicas serve", "dropped"}

// middleStep is the step of a renewal after which a rollout begins.
const middleStep = "published"

// stepIn returns the step that a line of the log names, or an empty string.
func stepIn(line string) string {
	for _, step := range slices.Backward(renewalSteps) {
		if strings.Contains(line, step) {
			return step
		}
	}
	return ""
}

const (
	cronJobName = "renew"

	// renewAnnotation on the Secret requests a new CA and certificate.
	renewAnnotation = "image-webhook.dev/renew"
)

// onStep gets each step of a renewal. It may kill the process of the Job.
type onStep func(step string, kill func())

// runRenewal runs a Job of the CronJob until it is complete.
func (r *run) runRenewal(ctx context.Context, step *progress.Step, reached onStep) error {
	cronJob, err := r.client.BatchV1().CronJobs(webhookNamespace).Get(ctx, cronJobName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the CronJob %s: %w: run `make install`", cronJobName, err)
	}
	job := newRenewalJob(cronJob, r.Settle)
	err = r.runJob(ctx, step, job, func(pod corev1.Pod) (onLine, func()) {
		killer := r.NewKiller(ctx, pod, "KILL")
		return func(line string) {
			if s := stepIn(line); s != "" && reached != nil {
				reached(s, killer.Kill)
			}
		}, killer.Close
	})
	if err != nil {
		return fmt.Errorf("run a Job of the CronJob %s: %w", cronJobName, err)
	}
	return nil
}

// newRenewalJob returns a Job like `kubectl create job --from=cronjob/renew`, with a shorter
// settle time. The Job runs one pod, even if the pod fails.
func newRenewalJob(cronJob *batchv1.CronJob, settle time.Duration) *batchv1.Job {
	template := cronJob.Spec.JobTemplate.DeepCopy()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: cronJob.Name + "-chaos-",
			Labels:       map[string]string{ownLabel: "true"},
			Annotations:  map[string]string{"cronjob.kubernetes.io/instantiate": "manual"},
		},
		Spec: template.Spec,
	}
	maps.Copy(job.Labels, template.Labels)
	maps.Copy(job.Annotations, template.Annotations)
	job.Spec.BackoffLimit = new(int32(0))
	job.Spec.TTLSecondsAfterFinished = nil
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	setFlag(&job.Spec.Template.Spec, "--settle", settle.String())
	return job
}

// setFlag sets a flag of the first container.
func setFlag(spec *corev1.PodSpec, flag, value string) {
	container := &spec.Containers[0]
	others := slices.DeleteFunc(slices.Clone(container.Args), func(arg string) bool { return strings.HasPrefix(arg, flag+"=") })
	container.Args = append(others, flag+"="+value)
}

// requestRenewal makes the next run of the CronJob replace CA and certificate.
func (c *cluster) requestRenewal(ctx context.Context) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"true"}}}`, renewAnnotation)
	_, err := c.client.CoreV1().Secrets(webhookNamespace).Patch(ctx, webhookSecret, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("request a renewal: %w", err)
	}
	return nil
}

// replaceCertificate requests a renewal, and calls task to run it.
func (r *run) replaceCertificate(ctx context.Context, task func() error) error {
	old, err := r.certificate(ctx)
	if err != nil {
		return err
	}
	if err := r.requestRenewal(ctx); err != nil {
		return err
	}
	if err := task(); err != nil {
		return err
	}
	renewed, err := r.certificate(ctx)
	if err == nil && renewed.Equal(old) {
		err = errors.New("the renewal did not replace the certificate")
	}
	return err
}

// renew replaces the certificate.
func (r *run) renew(ctx context.Context, step *progress.Step) error {
	return r.replaceCertificate(ctx, func() error { return r.runRenewal(ctx, step, nil) })
}

// renewDuringRollout replaces the certificate, and begins a rollout in the middle.
func (r *run) renewDuringRollout(ctx context.Context, step *progress.Step) error {
	return r.replaceCertificate(ctx, func() error {
		var rolledOut bool
		var begin sync.Once
		group, ctx := errgroup.WithContext(ctx)
		err := r.runRenewal(ctx, step, func(reached string, _ func()) {
			if reached == middleStep {
				begin.Do(func() {
					rolledOut = true
					group.Go(func() error { return r.rollOut(ctx, step) })
				})
			}
		})
		err = errors.Join(err, group.Wait())
		if err == nil && !rolledOut {
			err = fmt.Errorf("the log of the renewal does not name the step %q", middleStep)
		}
		return err
	})
}

// renewWithKills replaces the certificate with Jobs that are killed: each Job after the first step
// after which no earlier Job was killed, until a Job completes.
func (r *run) renewWithKills(ctx context.Context, step *progress.Step) error {
	return r.replaceCertificate(ctx, func() error {
		var k kills
		defer func() { r.notes = append(r.notes, k.String()) }()
		for range len(renewalSteps) + 1 {
			earlier := len(k)
			err := r.runRenewal(ctx, step, func(reached string, kill func()) { k.reach(earlier, reached, kill) })
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case len(k) > earlier: // the error, if there is one, comes from the kill
				continue
			case err == nil && earlier == 0:
				return errors.New("the log of the renewal does not name any step")
			}
			return err
		}
		return errors.New("the renewal did not complete after its Job was killed after each step")
	})
}

// kills describes killed Jobs.
type kills []struct {
	step string // after which the Job was killed
	last string // last step in its log: a Job continues until the signal arrives
}

// reach handles a step of a Job. It kills the Job, unless an earlier one was killed after this step,
// or the Job is already killed. earlier is the number of kills before this Job.
func (k *kills) reach(earlier int, reached string, kill func()) {
	for _, done := range *k {
		if len(*k) == earlier && done.step == reached {
			return
		}
	}
	if len(*k) == earlier {
		*k = append(*k, struct{ step, last string }{step: reached})
		kill()
	}
	(*k)[len(*k)-1].last = reached
}

func (k kills) String() string {
	var steps []string
	for _, done := range k {
		text := done.step
		if done.last != done.step {
			text += " (and " + done.last + ")"
		}
		steps = append(steps, text)
	}
	return "the Job was killed after: " + strings.Join(steps, ", ")
}

// deleteSecret deletes the Secret, and runs the CronJob, which must create it again.
func (r *run) deleteSecret(ctx context.Context, step *progress.Step) error {
	if err := r.removeSecret(ctx); err != nil {
		return err
	}
	return r.runRenewal(ctx, step, nil)
}

func (c *cluster) removeSecret(ctx context.Context) error {
	err := c.client.CoreV1().Secrets(webhookNamespace).Delete(ctx, webhookSecret, metav1.DeleteOptions{})
	if err != nil {
		return fmt.Errorf("delete the Secret: %w", err)
	}
	return nil
}
