package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// killBound is how long creates may be lost after SIGKILL: until the container runs again, or
	// until kube-proxy has removed the replica from the Service.
	killBound = 10 * time.Second

	// frozenBound is how long creates may be lost after SIGSTOP: until the liveness probe has failed
	// three times, and the container runs again.
	frozenBound = 40 * time.Second

	// restartLimit is how long a container may take to run again. The kubelet waits ten seconds
	// before it restarts a container for the second time.
	restartLimit = 2 * time.Minute
)

// killEach kills the replicas, one after the other.
func (r *run) killEach(ctx context.Context, step *progress.Step) error {
	servers, err := r.Servers(ctx)
	if err != nil {
		return err
	}
	for _, server := range servers {
		if err := r.signal(ctx, step, "KILL", server); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) killAll(ctx context.Context, step *progress.Step) error {
	return r.signalAll(ctx, step, "KILL")
}

func (r *run) freezeAll(ctx context.Context, step *progress.Step) error {
	return r.signalAll(ctx, step, "STOP")
}

// signalAll sends a signal to new replicas: after a restart, the kubelet would wait before it
// restarts a container again.
func (r *run) signalAll(ctx context.Context, step *progress.Step, signal string) error {
	if err := r.rollOut(ctx, step); err != nil {
		return err
	}
	servers, err := r.Servers(ctx)
	if err != nil {
		return err
	}
	return r.signal(ctx, step, signal, servers...)
}

// signal sends a signal to replicas at once, and waits until their containers run again.
func (r *run) signal(ctx context.Context, step *progress.Step, signal string, servers ...corev1.Pod) error {
	killers := make([]*devcluster.Killer, len(servers))
	for i, server := range servers {
		killers[i] = r.NewKiller(ctx, server, signal)
		defer killers[i].Close()
	}
	step.SetDetail(fmt.Sprintf("send SIG%s to %d replicas", signal, len(servers)))
	r.fault()
	var killing sync.WaitGroup
	for _, killer := range killers {
		killing.Go(killer.Kill)
	}
	killing.Wait()
	return waitUntil(ctx, restartLimit, step, func(ctx context.Context) error {
		running, err := r.Servers(ctx)
		if err != nil {
			return err
		}
		for _, old := range servers {
			err = errors.Join(err, restarted(old, running))
		}
		return err
	})
}

// restarted returns an error unless the container of a pod was started again and is ready.
func restarted(old corev1.Pod, running []corev1.Pod) error {
	status, restarts, err := containerOf(old, running)
	if err == nil && (!status.Ready || restarts == 0) {
		err = fmt.Errorf("waiting until the container of pod %s runs again", old.Name)
	}
	return err
}

// notRestarted returns an error if a pod is gone or its container was started again.
func notRestarted(old corev1.Pod, running []corev1.Pod) error {
	_, restarts, err := containerOf(old, running)
	if err == nil && restarts > 0 {
		err = fmt.Errorf("pod %s has restarted %d times", old.Name, restarts)
	}
	return err
}

// containerOf returns the status of the container of a pod, and how often it has restarted since
// the pod was read.
func containerOf(old corev1.Pod, running []corev1.Pod) (status corev1.ContainerStatus, restarts int32, err error) {
	i := slices.IndexFunc(running, func(pod corev1.Pod) bool { return pod.UID == old.UID && len(pod.Status.ContainerStatuses) > 0 })
	if i < 0 {
		return status, 0, fmt.Errorf("pod %s is gone", old.Name)
	}
	status = running[i].Status.ContainerStatuses[0]
	return status, status.RestartCount - old.Status.ContainerStatuses[0].RestartCount, nil
}

// forceDeletes deletes the replicas without a grace period, one after the other.
func (r *run) forceDeletes(ctx context.Context, step *progress.Step) error {
	servers, err := r.Servers(ctx)
	if err != nil {
		return err
	}
	for _, server := range servers {
		step.SetDetail("kubectl delete pod --force " + server.Name)
		if err := r.Kubectl("delete", "pod", server.Name, "-n", webhookNamespace, "--force", "--grace-period=0").Run(ctx); err != nil {
			return err
		}
		if err := r.waitRolledOut(ctx, step); err != nil {
			return err
		}
	}
	return nil
}
