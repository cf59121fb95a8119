package devcluster

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Killer sends a signal to the processes of a pod at once. To start a program on a node can take
// seconds; a Killer has started it before.
type Killer struct {
	input *io.PipeWriter // of the program
	ended chan struct{}
}

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
