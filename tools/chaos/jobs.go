package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// The manifests of the Jobs of an installation.
const (
	certgenManifest = "03-certgen.yaml"
	patchManifest   = "06-patch-webhookconfigure.yaml"
)

// jobLimit is how long a Job may take.
const jobLimit = 6 * time.Minute

// runJobs runs the Jobs of manifests, one after the other.
func (r *run) runJobs(ctx context.Context, step *progress.Step, manifests ...string) error {
	for _, manifest := range manifests {
		step.SetDetail("run the Job of " + manifest)
		job, err := readJob(deploy.FormSteps(r.hybrid), manifest)
		if err != nil {
			return err
		}
		if err := r.runJob(ctx, step, job, nil); err != nil {
			return fmt.Errorf("run the Job of %s: %w", manifest, err)
		}
	}
	return nil
}

// readJob returns the Job of a manifest of the installation, whatever its directory.
func readJob(steps []deploy.Step, manifest string) (*batchv1.Job, error) {
	i := slices.IndexFunc(steps, func(s deploy.Step) bool { return path.Base(s.Name) == manifest })
	if i < 0 {
		return nil, fmt.Errorf("there is no deploy/%s", manifest)
	}
	job := &batchv1.Job{}
	if err := yaml.UnmarshalStrict([]byte(steps[i].Content), job); err != nil {
		return nil, fmt.Errorf("deploy/%s: %w", steps[i].Name, err)
	}
	return job, nil
}

// onLine gets each line of a log.
type onLine func(line string)

// onPod gets the pod of a Job when it runs. It returns a function for the log of the pod, and one
// that is called at the end of the log.
type onPod func(pod corev1.Pod) (log onLine, end func())

// runJob creates a Job, waits until it is complete, and deletes it. It first deletes a Job of the
// same name. If started is not nil, it gets the Job's first pod.
func (c *cluster) runJob(ctx context.Context, step *progress.Step, job *batchv1.Job, started onPod) error {
	if job.Name != "" {
		if err := c.deleteJob(ctx, step, job.Name); err != nil {
			return err
		}
	}
	created, err := c.client.BatchV1().Jobs(webhookNamespace).Create(ctx, job, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if started != nil {
		if err := c.followLog(ctx, step, created.Name, started); err != nil {
			return err
		}
	}
	if err := c.waitForJob(ctx, step, created.Name); err != nil {
		return err
	}
	return c.deleteJob(ctx, step, created.Name)
}

// deleteJob deletes a Job and its pods, and waits until it is gone. It is not an error if the Job
// does not exist.
func (c *cluster) deleteJob(ctx context.Context, step *progress.Step, name string) error {
	background := metav1.DeletePropagationBackground
	return waitUntil(ctx, jobLimit, step, func(ctx context.Context) error {
		err := c.client.BatchV1().Jobs(webhookNamespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = errors.New("waiting until the Job " + name + " is deleted")
		}
		return err
	})
}

// waitForJob waits until a Job is complete. It returns an error as soon as the Job has failed.
func (c *cluster) waitForJob(ctx context.Context, step *progress.Step, name string) error {
	return waitUntil(ctx, jobLimit, step, func(ctx context.Context) error {
		job, err := c.client.BatchV1().Jobs(webhookNamespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range job.Status.Conditions {
			switch {
			case condition.Status != corev1.ConditionTrue:
			case condition.Type == batchv1.JobComplete:
				return nil
			case condition.Type == batchv1.JobFailed:
				return permanentError{fmt.Errorf("the Job failed: %s", c.failureOf(ctx, name, condition.Message))}
			}
		}
		return errors.New("waiting for the Job " + name)
	})
}

// failureOf returns why a pod of a Job failed, or the given message if no pod is known.
func (c *cluster) failureOf(ctx context.Context, job, message string) string {
	pods, err := c.podsOf(ctx, job)
	if err != nil {
		return message
	}
	for _, pod := range pods {
		if reason := probe.NotReady(pod); reason != "" {
			return message + ": " + reason
		}
	}
	return message
}

func (c *cluster) podsOf(ctx context.Context, job string) ([]corev1.Pod, error) {
	pods, err := c.client.CoreV1().Pods(webhookNamespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// followLog follows the log of a Job's pod until the pod ends.
func (c *cluster) followLog(ctx context.Context, step *progress.Step, job string, started onPod) error {
	pod, err := c.waitForPod(ctx, step, job)
	if err != nil {
		return err
	}
	log, end := started(pod)
	defer end()
	stream, err := c.client.CoreV1().Pods(webhookNamespace).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return fmt.Errorf("read the log of pod %s: %w", pod.Name, err)
	}
	defer stream.Close()
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		step.SetDetail(lines.Text())
		log(lines.Text())
	}
	return ctx.Err()
}

// waitForPod returns the pod of a Job as soon as its container has started.
func (c *cluster) waitForPod(ctx context.Context, step *progress.Step, job string) (pod corev1.Pod, err error) {
	err = waitUntil(ctx, jobLimit, step, func(ctx context.Context) error {
		pods, err := c.podsOf(ctx, job)
		if err != nil {
			return err
		}
		for _, pod = range pods {
			if pod.Status.Phase != corev1.PodPending && len(pod.Status.ContainerStatuses) > 0 {
				return nil
			}
		}
		return errors.New("waiting for a pod of the Job " + job)
	})
	return pod, err
}
