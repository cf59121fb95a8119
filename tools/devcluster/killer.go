package devcluster

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Killer sends a signal to the processes of a pod at once. To start a program on a node can take
// seconds; a Killer has started it before.
type Killer struct {
	input *io.PipeWriter // of the program
	ended chan struct{}
}

// findPIDs sets the variable pids to the first process of each container, whose IDs are the
// arguments.
const findPIDs = `
for id; do
	pids="$pids $(ctr --namespace=k8s.io tasks list | awk -v id="$id" '$1 == id { print $2 }')"
done
`

// killScript sends a signal to the processes when it reads a line.
const killScript = `signal=$1; shift` + findPIDs + `read -r line && kill -s "$signal" $pids`

// NewKiller returns a Killer that sends a signal, such as KILL, to a pod whose containers run. The
// caller must call Close.
func (c *Cluster) NewKiller(ctx context.Context, pod corev1.Pod, signal string) *Killer {
	args := append([]string{c.Engine.Name, "exec", "-i", pod.Spec.NodeName, "sh", "-c", killScript, "kill", signal}, containerIDs(pod)...)
	output, input := io.Pipe()
	k := &Killer{input, make(chan struct{})}
	go func() {
		defer close(k.ended)
		// The program fails if the processes have ended.
		_ = subprocess.Command{Args: args, Stdin: output}.Run(ctx)
		_ = output.Close()
	}()
	return k
}

// containerIDs returns the IDs by which containerd knows the containers of a pod.
func containerIDs(pod corev1.Pod) (ids []string) {
	for _, container := range pod.Status.ContainerStatuses {
		_, id, _ := strings.Cut(container.ContainerID, "://")
		ids = append(ids, id)
	}
	return ids
}

// Kill sends the signal. It returns when it is sent or the processes have ended.
func (k *Killer) Kill() {
	_, _ = io.WriteString(k.input, "\n")
	k.Close()
}

// Close ends the program of the Killer. It kills nothing.
func (k *Killer) Close() {
	_ = k.input.Close()
	<-k.ended
}

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

// runOnNodeOf runs a script on the node of a pod, with the IDs of its containers as arguments.
func (c *Cluster) runOnNodeOf(ctx context.Context, pod corev1.Pod, script string) (string, error) {
	args := append([]string{c.Engine.Name, "exec", pod.Spec.NodeName, "sh", "-c", script, "script"}, containerIDs(pod)...)
	return subprocess.Command{Args: args}.Output(ctx)
}
