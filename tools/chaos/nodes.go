package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// nodeBound is how long creates may be lost after the death of a node: Kubernetes notices it
	// after 50 seconds (--node-monitor-grace-period), and a call takes up to five more.
	nodeBound = 60 * time.Second

	// clusterBound is how long creates may be lost after the API server answers again.
	clusterBound = 90 * time.Second

	// machineLimit is how long a node may take until Kubernetes notices that it has stopped or
	// started.
	machineLimit = 5 * time.Minute

	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
)

// drain evicts the pods of a worker on which a replica runs.
func (r *run) drain(ctx context.Context, step *progress.Step) (err error) {
	node, err := r.workerWithReplica(ctx)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, r.Kubectl("uncordon", node).Run(context.WithoutCancel(ctx)))
	}()
	step.SetDetail("kubectl drain " + node)
	if err := r.Kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=3m").Run(ctx); err != nil {
		return err
	}
	return r.waitRolledOut(ctx, step)
}

// workerWithReplica returns a node that runs a replica and no API server.
func (r *run) workerWithReplica(ctx context.Context) (string, error) {
	workers, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "!" + controlPlaneLabel})
	if err != nil {
		return "", err
	}
	servers, err := r.Servers(ctx)
	if err != nil {
		return "", err
	}
	for _, worker := range workers.Items {
		if slices.ContainsFunc(servers, func(pod corev1.Pod) bool { return pod.Spec.NodeName == worker.Name }) {
			return worker.Name, nil
		}
	}
	return "", errors.New("no replica runs on a worker: run `kubectl rollout restart deployment/webhook -n image-webhook`")
}

// killNode stops a worker on which a replica runs, waits until Kubernetes has noticed it, and starts
// the worker again.
func (r *run) killNode(ctx context.Context, step *progress.Step) (err error) {
	if err := r.spread(ctx, step); err != nil {
		return err
	}
	node, err := r.workerWithReplica(ctx)
	if err != nil {
		return err
	}
	step.SetDetail("stop " + node)
	r.fault()
	if err := r.KillNode(ctx, node); err != nil {
		return err
	}
	err = r.waitNode(ctx, step, node, corev1.ConditionUnknown)
	if err == nil {
		err = sleep(ctx, quietTime) // nothing may be lost any more
	}
	step.SetDetail("start " + node)
	if err := errors.Join(err, r.StartNode(context.WithoutCancel(ctx), node)); err != nil {
		return err
	}
	if err := r.waitNode(ctx, step, node, corev1.ConditionTrue); err != nil {
		return err
	}
	return r.waitRolledOut(ctx, step)
}

// spread spreads the replicas over the nodes: after a drain, they run on one node.
func (r *run) spread(ctx context.Context, step *progress.Step) error {
	if _, err := r.workerWithReplica(ctx); err == nil {
		return nil
	}
	return r.rollOut(ctx, step)
}

// waitNode waits until a node has a value of the condition Ready.
func (r *run) waitNode(ctx context.Context, step *progress.Step, name string, want corev1.ConditionStatus) error {
	return waitUntil(ctx, machineLimit, step, func(ctx context.Context) error {
		node, err := r.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == want {
				return nil
			}
		}
		return fmt.Errorf("waiting until the condition Ready of node %s is %s", name, want)
	})
}

// killNodes stops all machines, and starts them again. A network add-on in a namespace of its own
// must start although the webhook does not run yet.
func (r *run) killNodes(ctx context.Context, step *progress.Step) error {
	nodes, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	addOn, err := r.startAddOn(ctx, step)
	if err != nil {
		return err
	}
	step.SetDetail("stop all nodes")
	r.fault()
	for _, node := range nodes.Items {
		err = errors.Join(err, r.KillNode(ctx, node.Name))
	}
	step.SetDetail("start all nodes")
	for _, node := range nodes.Items {
		err = errors.Join(err, r.StartNode(context.WithoutCancel(ctx), node.Name))
	}
	if err != nil {
		return err
	}
	if err := r.waitAPIServer(ctx, step); err != nil {
		return err
	}
	r.fault()
	if err := addOn.replace(ctx, step); err != nil {
		return err
	}
	for _, node := range nodes.Items {
		if err := r.waitNode(ctx, step, node.Name, corev1.ConditionTrue); err != nil {
			return err
		}
	}
	return r.waitRolledOut(ctx, step)
}

// waitAPIServer waits until the API server answers.
func (r *run) waitAPIServer(ctx context.Context, step *progress.Step) error {
	return waitUntil(ctx, machineLimit, step, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		_, err := r.client.Discovery().RESTClient().Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Raw()
		return err
	})
}
