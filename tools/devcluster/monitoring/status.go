package monitoring

import (
	"context"
	"fmt"
	"io"
)

// PrintStatus writes a row if Prometheus is installed, in the format of
// devcluster.Cluster.PrintStatus.
func (m *Monitoring) PrintStatus(ctx context.Context, table io.Writer) error {
	found, err := m.deployment.Get(ctx)
	if err != nil || found == nil {
		return err
	}
	fmt.Fprintf(table, "MONITORING\t%s, %d/1 pods ready\n", Name, found.Status.ReadyReplicas)
	return nil
}
