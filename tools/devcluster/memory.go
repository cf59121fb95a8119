package devcluster

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// The scripts of ResetPeakMemory and PeakMemory (man 5 proc).
const (
	resetPeakScript = findPIDs + `for pid in $pids; do echo 5 >/proc/"$pid"/clear_refs; done`
	peakScript      = findPIDs + `for pid in $pids; do awk '$1 == "VmHWM:" { print $2 }' /proc/"$pid"/status; done`
)

// ResetPeakMemory resets the peak memory of the processes of a pod to their current memory.
func (c *Cluster) ResetPeakMemory(ctx context.Context, pod corev1.Pod) error {
	_, err := c.runOnNodeOf(ctx, pod, resetPeakScript)
	return err
}

// PeakMemory returns the largest resident memory in bytes that the first process of a pod has had.
func (c *Cluster) PeakMemory(ctx context.Context, pod corev1.Pod) (int64, error) {
	out, err := c.runOnNodeOf(ctx, pod, peakScript)
	if err != nil {
		return 0, err
	}
	kilobytes, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the peak memory of pod %s: %w", pod.Name, err)
	}
	return kilobytes << 10, nil
}
