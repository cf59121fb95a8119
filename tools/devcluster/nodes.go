package devcluster

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// maxNodes limits NODES, because all nodes share the memory of this machine.
const maxNodes = 5

// requestedNodes returns the number of nodes that the variable NODES requests, or 0 if it is not
// set.
func requestedNodes() (int, error) {
	value := os.Getenv("NODES")
	if value == "" {
		return 0, nil
	}
	count, err := strconv.Atoi(value)
	if err != nil || count < 1 || count > maxNodes {
		return 0, fmt.Errorf("invalid NODES %q: use a number from 1 to %d", value, maxNodes)
	}
	return count, nil
}

// checkNodes returns an error if the cluster has another number of nodes than requested. It
// accepts any number if requested is 0.
func (c *Cluster) checkNodes(running, requested int) error {
	if requested == 0 || requested == running {
		return nil
	}
	return fmt.Errorf("use cluster %s with NODES=%d: it has NODES=%d: delete it with `bin/cluster down --name=%s`, "+
		"or set NODES as when it was created", c.Name, requested, running, c.Name)
}

// joinNodes waits until count nodes are ready, and lets pods on different nodes connect to each
// other.
func (c *Cluster) joinNodes(ctx context.Context, count int) error {
	return c.report.Step("connect the nodes", func(step *progress.Step) error {
		client, err := c.Client()
		if err != nil {
			return err
		}
		nodes, err := waitForNodes(ctx, client, count, step)
		if err != nil {
			return err
		}
		if hasAddOn, err := hasNetworkAddOn(ctx, client); err != nil || hasAddOn {
			return err
		}
		return c.startRoutes(ctx, nodes)
	})
}

// waitForNodes returns the nodes when all are ready and have addresses for their pods.
func waitForNodes(ctx context.Context, client kubernetes.Interface, count int, step *progress.Step) (nodes []corev1.Node, err error) {
	err = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, readyLimit, true, func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		nodes = nil
		for _, node := range list.Items {
			if node.Spec.PodCIDR != "" && isNodeReady(node) {
				nodes = append(nodes, node)
			}
		}
		step.SetDetail(fmt.Sprintf("%d of %d nodes are ready", len(nodes), count))
		return len(nodes) == count, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("only %d of %d nodes are ready after %s", len(nodes), count, readyLimit)
	}
	return nodes, err
}

func isNodeReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// hasNetworkAddOn reports whether the cluster runs a network add-on, as with kind's own node
// images. The images of package nodeimage create a ConfigMap instead.
func hasNetworkAddOn(ctx context.Context, client kubernetes.Interface) (bool, error) {
	_, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "node-network", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// routeTable is the file on each node with a line "NODE PODCIDR" for each node.
const routeTable = "/etc/pod-routes"

// routeScript keeps routes to the pods of the other nodes. It finds the addresses by the names of
// the nodes' containers, again and again, because the container engine can give a node another
// address when it starts again.
const routeScript = `#!/bin/sh
while :; do
    while read -r node pods; do
        address=$(getent ahostsv4 "$node" | awk 'NR == 1 {print $1}')
        if [ "$node" != "$(hostname)" ] && [ -n "$address" ]; then
            ip route replace "$pods" via "$address"
        fi
    done <` + routeTable + `
    sleep 5
done
`

const routeService = `[Unit]
Description=Routes to the pods of the other nodes

[Service]
ExecStart=/bin/sh /usr/local/bin/pod-routes
Restart=always

[Install]
WantedBy=multi-user.target
`

// startRoutes starts a service on each node that routes to the pods of the other nodes.
func (c *Cluster) startRoutes(ctx context.Context, nodes []corev1.Node) error {
	for _, file := range []struct{ path, content string }{
		{routeTable, routeLines(nodes)},
		{"/usr/local/bin/pod-routes", routeScript},
		{"/etc/systemd/system/pod-routes.service", routeService},
	} {
		if err := c.WriteFile(ctx, file.path, file.content); err != nil {
			return err
		}
	}
	return c.RunOnNodes(ctx, "systemctl", "enable", "--now", "--quiet", "pod-routes.service")
}

func routeLines(nodes []corev1.Node) string {
	var lines strings.Builder
	for _, node := range nodes {
		fmt.Fprintf(&lines, "%s %s\n", node.Name, node.Spec.PodCIDR)
	}
	return lines.String()
}
