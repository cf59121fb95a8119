package devcluster

import (
	"context"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Killer kills the processes of a pod at once. To start a program on a node can take seconds; a
// Killer has started it before.
type Killer struct {
	input *io.PipeWriter // of the program
	ended chan struct{}
}

// killScript kills the first process of each container, whose IDs are the arguments, when it reads
// a line.
const killScript = `
for id; do
	pids="$pids $(ctr --namespace=k8s.io tasks list | awk -v id="$id" '$1 == id { print $2 }')"
done
read -r line && kill -9 $pids`

// NewKiller returns a Killer for a pod whose containers run. The caller must call Close.
func (c *Cluster) NewKiller(ctx context.Context, pod corev1.Pod) *Killer {
	args := []string{c.Engine.Name, "exec", "-i", pod.Spec.NodeName, "sh", "-c", killScript, "kill"}
	for _, container := range pod.Status.ContainerStatuses {
		_, id, _ := strings.Cut(container.ContainerID, "://")
		args = append(args, id)
	}
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

// Kill kills the processes. It returns when they are killed or have ended.
func (k *Killer) Kill() {
	_, _ = io.WriteString(k.input, "\n")
	k.Close()
}

// Close ends the program of the Killer. It kills nothing.
func (k *Killer) Close() {
	_ = k.input.Close()
	<-k.ended
}
