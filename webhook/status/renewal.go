package status

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const cronJobObject = "cronjob/" + renew

// renewal checks that the CronJob runs, which renews the certificate and repairs the
// configurations.
func renewal(s evaluation) []Check {
	job := s.CronJob.Value
	switch {
	case s.CronJob.missing():
		return []Check{checkRenewal.problem(cronJobObject, apply(renewManifest), "does not exist: nothing renews the certificate")}
	case s.CronJob.Err != nil:
		return []Check{checkRenewal.unread(cronJobObject, s.CronJob.Err)}
	case job.Spec.Suspend != nil && *job.Spec.Suspend:
		return []Check{checkRenewal.problem(cronJobObject, s.kubectl("patch cronjob renew")+` -p '{"spec":{"suspend":false}}'`, "is suspended: nothing renews the certificate")}
	}
	runs := fmt.Sprintf("last run %s, last success %s", ago(job.Status.LastScheduleTime, s.Time), ago(job.Status.LastSuccessfulTime, s.Time))
	if missed(*job, s.Time) {
		return []Check{checkRenewal.warning(cronJobObject, s.kubectl("logs -l job=renew --all-containers --prefix --tail=-1"), "does not succeed: %s", runs)}
	}
	return []Check{checkRenewal.ok(cronJobObject, "%s", runs)}
}

func ago(t *metav1.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	return span(now.Sub(t.Time)) + " ago"
}

// missed reports whether two runs should have succeeded since the last success, or since the
// CronJob was created.
func missed(job batchv1.CronJob, now time.Time) bool {
	since := job.CreationTimestamp.Time
	if job.Status.LastSuccessfulTime != nil {
		since = job.Status.LastSuccessfulTime.Time
	}
	schedule, err := cron.ParseStandard(job.Spec.Schedule)
	if err != nil {
		return false // the API server accepts only valid schedules
	}
	second := schedule.Next(schedule.Next(since))
	return !second.IsZero() && now.After(second)
}
