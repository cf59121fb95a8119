package devcluster

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// findPIDs sets the variable pids to the first process of each container, whose IDs are the
// arguments.
const findPIDs = `
for id; do
	pids="$pids $(ctr --namespace=k8s.io tasks list | awk -v id="$id" '$1 == id { print $2 }')"
done
`

// containerIDs returns the IDs by which containerd knows the containers of a pod.
func containerIDs(pod corev1.Pod) (ids []string) {
	for _, container := range pod.Status.ContainerStatuses {
		_, id, _ := strings.Cut(container.ContainerID, "://")
		ids = append(ids, id)
	}
	return ids
}

// runOnNodeOf runs a script on the node of a pod, with the IDs of its containers as arguments.
func (c *Cluster) runOnNodeOf(ctx context.Context, pod corev1.Pod, script string) (string, error) {
	args := append([]string{c.Engine.Name, "exec", pod.Spec.NodeName, "sh", "-c", script, "script"}, containerIDs(pod)...)
	return subprocess.Command{Args: args}.Output(ctx)
}
