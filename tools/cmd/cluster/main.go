// Command cluster runs a kind cluster for developing, demonstrating and testing the webhook.
// See package devcluster.
//
//	cluster up        create the cluster and the mirror in it, unless they are up
//	cluster load      build the webhook's image, load it into the nodes and print its
//	                  content reference
//	cluster install   load the image, then apply the manifests of deploy/
//	cluster reload    load the image and roll it out; nothing else changes
//	cluster status    show the state of the cluster, and of the mirror and Prometheus in it
//	cluster env       print shell commands that point kubectl at the cluster
//	cluster down      delete the cluster
//	cluster engine    print the container engine; install one if there is none
//
// The variable K8S chooses the Kubernetes version of a new cluster, such as 1.36, and NODES its
// number of nodes. HYBRID=1 chooses the hybrid form for up and install, and 0 the other one; later
// commands keep the form.
//
// It exits with 3 if there is no container engine and it cannot install one, with 2 for a
// mistake in the command line, and with 1 for any other failure.
package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() { cli.Main(newRoot) }

const examples = `  # A cluster with this checkout in it, and kubectl pointed at it
  bin/cluster up
  bin/cluster install
  eval "$(bin/cluster env)"

  # Completion of verbs and flags in this shell
  source <(bin/cluster completion bash)`

// tool contains the outputs that the verbs share. Each verb has its own file.
type tool struct {
	stdout io.Writer
	report *progress.Reporter
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	t := tool{stdout, progress.New(stderr)}
	c := cli.NewNamed(cli.Text{
		Use:     "cluster",
		Short:   "Run a kind cluster with the webhook in it; K8S=1.36 chooses its Kubernetes version",
		Example: examples,
	}, devcluster.DefaultName, "use the cluster with this `name`", stdout, stderr)
	for _, addVerb := range []func(*cli.Named){
		t.addUp, t.addLoad, t.addInstall, t.addReload, t.addStatus, t.addEnv, t.addDown, t.addEngine,
	} {
		addVerb(c)
	}
	return c.Root
}

// errNotReady is the error of the verbs that need a running cluster.
var errNotReady = errors.New("the cluster is not running: run `make up`")

// open returns a cluster that may not exist.
func (t tool) open(ctx context.Context, name string) (*devcluster.Cluster, error) {
	c, err := devcluster.Open(ctx, name, t.report)
	return c, withCode(err)
}

// openReady returns a running cluster.
func (t tool) openReady(ctx context.Context, name string) (*devcluster.Cluster, error) {
	c, err := t.open(ctx, name)
	if err != nil {
		return nil, err
	}
	state, err := c.State(ctx)
	if err == nil && state != devcluster.Ready {
		err = errNotReady
	}
	return c, err
}

// exitNoEngine is the exit code with which `make demo` continues without a cluster.
const exitNoEngine = 3

func withCode(err error) error {
	if errors.Is(err, engine.ErrNone) {
		return cli.WithCode(err, exitNoEngine)
	}
	return err
}
