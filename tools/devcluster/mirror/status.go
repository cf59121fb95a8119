package mirror

import (
	"context"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PrintStatus writes a row for each registry, in the format of
// devcluster.Cluster.PrintStatus.
func (m *Mirror) PrintStatus(ctx context.Context, table io.Writer) error {
	list, err := m.client.AppsV1().Deployments(Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=registry"})
	if err != nil {
		return fmt.Errorf("list the registries: %w", err)
	}
	if len(list.Items) == 0 {
		fmt.Fprintf(table, "MIRROR\tnot installed: run `make up`\n")
	}
	for _, d := range list.Items {
		fmt.Fprintf(table, "MIRROR\t%s, %d/1 pods ready\n", d.Name, d.Status.ReadyReplicas)
	}
	return nil
}
