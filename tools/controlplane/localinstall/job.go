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

// carryOut does the work of a Job's containers, in their order, with the rights of
// its service account and no others. Then the Job goes, as its time to live says.
func (i *Installation) carryOut(ctx context.Context, job *batchv1.Job) error {
	pod := job.Spec.Template.Spec
	worker := certgen.Worker{
		Config: i.Server.As(fmt.Sprintf("system:serviceaccount:%s:%s", job.Namespace, pod.ServiceAccountName)),
		Dial:   i.Server.Services.Dial,
		Stdout: i.Log,
		Stderr: i.Log,
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		if err := i.work(ctx, worker, container); err != nil {
			return fmt.Errorf("container %s: %w", container.Name, err)
		}
	}
	background := metav1.DeletePropagationBackground
	return i.client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{PropagationPolicy: &background})
}

func (i *Installation) work(ctx context.Context, worker certgen.Worker, container corev1.Container) error {
	command, err := certgen.Parse(container.Args, i.Log)
	if err != nil {
		return err
	}
	return worker.Do(ctx, command)
}
