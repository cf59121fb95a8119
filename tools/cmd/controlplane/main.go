// Command controlplane runs a kube-apiserver, etcd, a few controllers and the webhook of the
// checkout as processes on this machine, without a container engine and without nodes. Pods
// are admitted and stored, but do not run.
//
//	controlplane up       start them; restart only the webhook if they run
//	controlplane status   show whether the API server and the webhook answer
//	controlplane env      print shell commands that point kubectl at the API server
//	controlplane down     stop them
//	controlplane build    only build the programs of Kubernetes, for the tests
//
// The variable K8S chooses the Kubernetes version, such as 1.36.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/controlplane"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

func main() { cli.Main(newRoot) }

const examples = `  # An API server that calls the webhook of this checkout, and kubectl pointed at it
  bin/controlplane up
  eval "$(bin/controlplane env)"

  # Completion of verbs and flags in this shell
  source <(bin/controlplane completion bash)`

const staticHelp = "let the API server read the policy of deploy/04 from files, and also run its\nplugin ImagePolicyWebhook; needs Kubernetes 1.36"

// tool contains the outputs that the verbs share.
type tool struct {
	stdout io.Writer
	report *progress.Reporter
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	t := tool{stdout, progress.New(stderr)}
	c := cli.NewNamed(cli.Text{
		Use:     "controlplane",
		Short:   "Run an API server with the webhook, without containers; K8S=1.36 chooses its version",
		Example: examples,
	}, controlplane.DefaultName, "use the control plane with this `name`", stdout, stderr)
	var static bool
	up := c.AddVerb(cli.Text{Use: "up", Short: "Start etcd, the API server and the webhook; restart only the webhook if they run", Example: `  # The first time, and after a change in webhook/
  bin/controlplane up

  # Another one, with an older Kubernetes version
  K8S=1.36 bin/controlplane up --name=older

  # One with all forms of an installation, for bin/loadtest
  bin/controlplane up --name=forms --static`}, func(ctx context.Context, name string) error { return t.up(ctx, name, static) })
	up.Flags().BoolVar(&static, "static", false, staticHelp)
	c.AddVerb(cli.Text{Use: "status", Short: "Show whether the API server and the webhook answer", Example: `  # Of another control plane than the default
  bin/controlplane status --name=older`}, t.status)
	c.AddVerb(cli.Text{Use: "env", Short: "Print shell commands that point kubectl at the API server", Example: `  # In this shell
  eval "$(bin/controlplane env)"`}, t.env)
	c.AddVerb(cli.Text{Use: "down", Short: "Stop etcd, the API server and the webhook", Example: `  # With all stored objects
  bin/controlplane down`}, t.down)
	hold := c.AddVerb(cli.Text{Use: "hold", Short: "Run etcd, the API server and the webhook: the process that `up` starts"},
		func(ctx context.Context, name string) error { return t.hold(ctx, name, static) })
	hold.Flags().BoolVar(&static, "static", false, staticHelp)
	hold.Hidden = true
	cli.AddVerb(c.Root, cli.Text{Use: "build", Short: "Build etcd, kube-apiserver, kube-controller-manager and kubectl, and start nothing", Example: `  # Programs of another Kubernetes version, for the tests
  K8S=1.36 bin/controlplane build`}, func(c *cobra.Command) error { return t.build(c.Context()) })
	return c.Root
}

func (t tool) status(ctx context.Context, name string) error {
	p, err := controlplane.Open(name)
	if err != nil {
		return err
	}
	return p.PrintStatus(ctx, t.stdout)
}

func (t tool) env(_ context.Context, name string) error {
	p, err := controlplane.Open(name)
	if err != nil {
		return err
	}
	if _, err := p.Ready(); err != nil {
		return err
	}
	return cli.PrintShellEnv(t.stdout, p.Kubeconfig(), filepath.Dir(p.KubectlPath()))
}

func (t tool) down(ctx context.Context, name string) error {
	p, err := controlplane.Open(name)
	if err != nil {
		return err
	}
	return p.Down(ctx, t.report)
}

func (t tool) hold(ctx context.Context, name string, static bool) error {
	p, err := controlplane.Open(name)
	if err != nil {
		return err
	}
	p.Static = static
	programs, root, err := pinned(ctx)
	if err != nil {
		return err
	}
	return p.Hold(ctx, programs, root)
}

func (t tool) build(ctx context.Context) error {
	programs, _, err := pinned(ctx)
	if err != nil {
		return err
	}
	return programs.Build(ctx, t.report, controlplane.Programs...)
}

// pinned returns the programs of the Kubernetes version that the variable K8S names, and
// the root of this checkout.
func pinned(ctx context.Context) (*kubebuild.Programs, string, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, "", err
	}
	programs, err := kubebuild.FromEnvironment(ctx, root)
	return programs, root, err
}

func (t tool) up(ctx context.Context, name string, static bool) error {
	p, err := controlplane.Open(name)
	if err != nil {
		return err
	}
	p.Static = static
	programs, root, err := pinned(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	holder := []string{self, "hold", "--name", name}
	if static {
		holder = append(holder, "--static")
	}
	if err := p.Up(ctx, programs, root, holder, t.report); err != nil {
		return err
	}
	flag, version := "", ""
	if name != controlplane.DefaultName {
		flag = " --name " + name
	}
	if chosen := os.Getenv("K8S"); chosen != "" {
		version = "K8S=" + chosen + " "
	}
	t.report.Note(`
An API server, Kubernetes %s, with the webhook of this checkout. There are no nodes: pods
are admitted and stored, but do not run. Only the controllers of quotas, namespaces, service
accounts and aggregated ClusterRoles run.

  eval "$(bin/controlplane env%[2]s)"   # points kubectl at it
  %[4]sbin/controlplane up%[2]s              # after a change in webhook/: restarts the webhook
  bin/controlplane down%[2]s            # stops everything
  %[3]s   # the log of the webhook`, programs.Release, flag, p.Log(), version)
	if static {
		t.report.Note("\nThe API server also reads the policy from the files in %s,\nand calls another webhook in its plugin ImagePolicyWebhook.", p.StaticFiles())
	}
	return nil
}
