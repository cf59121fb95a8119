package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// readyLimit is how long a running API server may take to answer on a busy machine.
	readyLimit = 15 * time.Second
	// servingLimit is how long PrintStatus waits for the webhook.
	servingLimit = 3 * time.Second
)

// PrintStatus writes the state of the control plane. It returns an error if the control plane does
// not work.
func (p *Plane) PrintStatus(ctx context.Context, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	defer table.Flush()
	state, err := p.Ready()
	if err != nil {
		fmt.Fprintln(table, "control plane\tnot running")
		return err
	}
	fmt.Fprintf(table, "control plane\tKubernetes %s, process %d\n", state.Release, state.PID)
	fmt.Fprintf(table, "kubeconfig\t%s\n", p.Kubeconfig())
	fmt.Fprintf(table, "log\t%s\n", p.Log())
	config, err := p.checkReady(ctx)
	if err != nil {
		fmt.Fprintf(table, "API server\tdoes not answer: %v\n", err)
		return errNoAPIServer
	}
	fmt.Fprintln(table, "API server\tready")
	ctx, cancel := context.WithTimeout(ctx, servingLimit)
	defer cancel()
	if err := probe.WaitServing(ctx, config, &progress.Step{}); err != nil {
		fmt.Fprintf(table, "webhook\tdoes not answer: %v\n", err)
		return errNoWebhook
	}
	note := ""
	if state.RestartError != "" {
		note = ", but it is an older build: the last one did not start"
	}
	fmt.Fprintf(table, "webhook\tdenies and mirrors%s\n", note)
	return nil
}

var errNoAPIServer = errors.New("the API server does not answer: run `bin/controlplane up` to restart everything")

var errNoWebhook = errors.New("the webhook does not answer: run `bin/controlplane up` to restart it")

// checkReady returns the client configuration of the API server, and an error if the API server
// is not ready.
func (p *Plane) checkReady(ctx context.Context) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	api, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return config, api.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}
