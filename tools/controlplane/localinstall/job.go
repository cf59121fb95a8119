package localinstall

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// runJob does the work of a Job's containers, in order, with the permissions of its service
// account. Then it deletes the Job, like a cluster after the Job's time to live.
func (i *Installation) runJob(ctx context.Context, job *batchv1.Job) error {
	pod := job.Spec.Template.Spec
	worker := certgen.Worker{
		Config: i.Server.As(serviceAccount(job.Namespace, pod)),
		Dial:   i.Server.Services.Dial,
		Stdout: i.Log,
		Stderr: i.Log,
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		if err := i.runContainer(ctx, worker, container); err != nil {
			return fmt.Errorf("container %s: %w", container.Name, err)
		}
	}
	background := metav1.DeletePropagationBackground
	return i.client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{PropagationPolicy: &background})
}

func (i *Installation) runContainer(ctx context.Context, worker certgen.Worker, container corev1.Container) error {
	command, err := certgen.Parse(container.Args, i.Log)
	if err != nil {
		return err
	}
	return worker.Do(ctx, command)
}
