package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// period is the time of a row in the report of a soak.
const period = 10 * time.Minute

// Soak creates pods for a while in a cluster whose CronJob runs every minute and issues certificates
// with a short validity. It returns a row for each period. An incomplete report comes with an error.
func Soak(ctx context.Context, c *devcluster.Cluster, duration, validity time.Duration, o Options, report *progress.Reporter) (*Report, error) {
	return withRun(ctx, c, o, report, func(r *run, result *Report) error {
		result.Soak = true
		if err := r.waitReady(ctx, &progress.Step{}); err != nil {
			return fmt.Errorf("the webhook is not ready: %w", err)
		}
		return r.withFrequentRenewals(ctx, validity, func() error { return r.soak(ctx, duration, validity, result) })
	})
}

// withFrequentRenewals calls task while the CronJob runs every minute and issues certificates with a
// short validity. It then restores the CronJob and replaces the certificate with one of the usual
// validity, also after an interruption.
func (r *run) withFrequentRenewals(ctx context.Context, validity time.Duration, task func() error) (err error) {
	original, err := r.client.BatchV1().CronJobs(webhookNamespace).Get(ctx, cronJobName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the CronJob %s: %w: run `make install`", cronJobName, err)
	}
	defer func() { err = errors.Join(err, r.restoreRenewals(ctx, original.Spec)) }()
	err = r.setCronJob(ctx, func(spec *batchv1.CronJobSpec) {
		spec.Schedule, spec.Suspend = "* * * * *", new(false)
		pod := &spec.JobTemplate.Spec.Template.Spec
		setFlag(pod, "--validity", validity.String())
		setFlag(pod, "--settle", r.Settle.String())
	})
	if err != nil {
		return err
	}
	if err := r.requestRenewal(ctx); err != nil { // the present certificate is not due
		return err
	}
	return task()
}

func (r *run) restoreRenewals(ctx context.Context, original batchv1.CronJobSpec) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repairLimit)
	defer cancel()
	return r.report.Step("restore the CronJob and its certificate", func(step *progress.Step) error {
		if err := r.setCronJob(ctx, func(spec *batchv1.CronJobSpec) { *spec = original }); err != nil {
			return err
		}
		if err := r.waitInactive(ctx, step); err != nil {
			return err
		}
		if err := r.renew(ctx, step); err != nil {
			return err
		}
		return r.waitReady(ctx, step)
	})
}

// waitInactive waits until no Job of the CronJob runs. It would issue another certificate with a
// short validity.
func (c *cluster) waitInactive(ctx context.Context, step *progress.Step) error {
	return waitUntil(ctx, jobLimit, step, func(ctx context.Context) error {
		found, err := c.client.BatchV1().CronJobs(webhookNamespace).Get(ctx, cronJobName, metav1.GetOptions{})
		if err == nil && len(found.Status.Active) > 0 {
			err = fmt.Errorf("waiting until the Job %s has ended", found.Status.Active[0].Name)
		}
		return err
	})
}

// setCronJob changes the CronJob.
func (c *cluster) setCronJob(ctx context.Context, change func(*batchv1.CronJobSpec)) error {
	cronJobs := c.client.BatchV1().CronJobs(webhookNamespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found, err := cronJobs.Get(ctx, cronJobName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&found.Spec)
		_, err = cronJobs.Update(ctx, found, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("change the CronJob %s: %w", cronJobName, err)
	}
	return nil
}

// soak runs the load and adds a row for each period to the report.
func (r *run) soak(ctx context.Context, duration, validity time.Duration, result *Report) error {
	served := r.watchServed(ctx)
	defer served.stop()
	began := time.Now()
	for start := time.Duration(0); start < duration; start += period {
		end := min(start+period, duration)
		var row Row
		name := fmt.Sprintf("%g-%g", start.Minutes(), end.Minutes())
		_ = r.report.Step("minutes "+name, func(step *progress.Step) error {
			row = r.soakPeriod(ctx, name, began.Add(end), served, step)
			step.SetResult("%s", row.soakSummary())
			return row.err()
		})
		result.Rows = append(result.Rows, row)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if want := int(duration / validity); served.renewals() < want {
		return fmt.Errorf("only %d renewals in %s, want at least %d: run `kubectl get jobs,pods -n %s`", served.renewals(), duration, want, webhookNamespace)
	}
	return nil
}

// soakPeriod creates pods until a time, and returns the row, which may be incomplete if ctx ends.
func (r *run) soakPeriod(ctx context.Context, name string, end time.Time, served *servedWatch, step *progress.Step) Row {
	before := served.renewals()
	l := startLoad(ctx, r.clients, r.Rate)
	defer l.stop()
	current := func() Row {
		row := Row{Name: name, Renewals: served.renewals() - before}
		row.Phases, row.Losses = l.figures()
		return row
	}
	for time.Now().Before(end) && sleep(ctx, min(time.Until(end), watchInterval)) == nil {
		step.SetDetail(current().soakSummary())
	}
	l.stop()
	return current()
}

func (r Row) soakSummary() string { return fmt.Sprintf("%s, %d renewals", r.summary(), r.Renewals) }
