package background

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/serving"
)

// statusLimit is how long PrintStatus waits for answers.
const statusLimit = 5 * time.Second

// PrintStatus writes how the plane is. The error says what is wrong, if something is.
func (p *Plane) PrintStatus(ctx context.Context, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	defer table.Flush()
	state, err := p.State()
	if err != nil {
		fmt.Fprintln(table, "control plane\tnot up")
		return err
	}
	fmt.Fprintf(table, "control plane\tKubernetes %s, process %d\n", state.Release, state.PID)
	fmt.Fprintf(table, "kubeconfig\t%s\n", p.Kubeconfig())
	fmt.Fprintf(table, "log\t%s\n", p.Log())
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig())
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, statusLimit, errSilent)
	defer cancel()
	if err := serving.Wait(ctx, config, &progress.Step{}); err != nil {
		fmt.Fprintf(table, "webhook\tdoes not answer: %v\n", err)
		return errSilent
	}
	fmt.Fprintln(table, "webhook\tdenies and mirrors")
	return nil
}

var errSilent = errors.New("the webhook does not answer: `bin/controlplane up` starts it anew")
