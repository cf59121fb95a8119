// Command controlplane runs a real kube-apiserver, its etcd and the webhook of the
// working tree as processes on this machine: no container engine, no nodes. Pods are
// admitted and stored, and run nowhere.
//
//	controlplane up       start them, or the webhook anew if they run
//	controlplane status   whether they run, and whether the webhook answers
//	controlplane env      shell commands that point kubectl at the API server
//	controlplane down     end them
//	controlplane build    only build etcd, kube-apiserver and kubectl, as the tests need them
//
// The variable K8S chooses the version of Kubernetes, as 1.36.
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

// action is a verb: what it does to the control plane, which may not run.
type action func(ctx context.Context, p *controlplane.Plane) error

const examples = `  # An API server that asks the webhook of this checkout, and kubectl pointed at it
  bin/controlplane up
  eval "$(bin/controlplane env)"

  # Bash completes verbs and flags in this shell
  source <(bin/controlplane completion bash)`

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	name := controlplane.DefaultName
	report := progress.New(stderr)
	root := cli.NewRoot(cli.Text{
		Use:     "controlplane",
		Short:   "A real API server with the webhook in front, without containers; K8S=1.36 chooses its version",
		Example: examples,
	}, stdout, stderr)
	root.PersistentFlags().StringVar(&name, "name", name, "which one, to have several")
	verb := func(use, short, example string, do action) *cobra.Command {
		return cli.AddVerb(root, cli.Text{Use: use, Short: short, Example: example}, func(c *cobra.Command) error {
			if err := cli.CheckName(c, name); err != nil {
				return err
			}
			p, err := controlplane.Open(name)
			if err != nil {
				return err
			}
			return do(c.Context(), p)
		})
	}
	verb("up", "Start etcd, the API server and the webhook, or the webhook anew if they run", `  # For the first time, and after a change in webhook/
  bin/controlplane up

  # Another one, of an older Kubernetes
  K8S=1.36 bin/controlplane up --name=older`, func(ctx context.Context, p *controlplane.Plane) error {
		return up(ctx, p, name, report)
	})
	verb("status", "Show whether the API server and the webhook answer", `  # Of another one than the default
  bin/controlplane status --name=older`, func(ctx context.Context, p *controlplane.Plane) error {
		return p.PrintStatus(ctx, stdout)
	})
	verb("env", "Print shell commands that point kubectl at the API server", `  # In this shell
  eval "$(bin/controlplane env)"`, func(_ context.Context, p *controlplane.Plane) error {
		if _, err := p.Ready(); err != nil {
			return err
		}
		return cli.PrintShellEnv(stdout, p.Kubeconfig(), filepath.Dir(p.KubectlPath()))
	})
	verb("down", "End etcd, the API server and the webhook", `  # With all that is stored
  bin/controlplane down`, func(ctx context.Context, p *controlplane.Plane) error { return p.Down(ctx, report) })
	verb("hold", "Hold etcd, the API server and the webhook: what `up` leaves running", "", hold).Hidden = true
	cli.AddVerb(root, cli.Text{Use: "build", Short: "Build etcd, kube-apiserver and kubectl, and start nothing", Example: `  # What the tests need of another Kubernetes
  K8S=1.36 bin/controlplane build`}, func(c *cobra.Command) error {
		return build(c.Context(), report)
	})
	return root
}

func hold(ctx context.Context, p *controlplane.Plane) error {
	programs, root, err := pinned(ctx)
	if err != nil {
		return err
	}
	return p.Hold(ctx, programs, root)
}

func build(ctx context.Context, report *progress.Reporter) error {
	programs, _, err := pinned(ctx)
	if err != nil {
		return err
	}
	return programs.Build(ctx, report, controlplane.Needs...)
}

// pinned is the version of Kubernetes that is asked for, and the folder of this
// repository's module.
func pinned(ctx context.Context) (*kubebuild.Programs, string, error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return nil, "", err
	}
	programs, err := kubebuild.FromEnvironment(ctx, root)
	return programs, root, err
}

func up(ctx context.Context, p *controlplane.Plane, name string, report *progress.Reporter) error {
	programs, root, err := pinned(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := p.Up(ctx, programs, root, []string{self, "hold", "--name", name}, report); err != nil {
		return err
	}
	flag, version := "", ""
	if name != controlplane.DefaultName {
		flag = " --name " + name
	}
	if chosen := os.Getenv("K8S"); chosen != "" {
		version = "K8S=" + chosen + " "
	}
	report.Note(`
A real API server, %s, with the webhook of this checkout. There are no nodes
and no controllers: pods are admitted and stored, and run nowhere.

  eval "$(bin/controlplane env%[2]s)"   # points kubectl at it
  %[4]sbin/controlplane up%[2]s              # after a change in webhook/: starts it anew
  bin/controlplane down%[2]s            # ends it all
  %[3]s   # what the webhook says`, programs.Release, flag, p.Log(), version)
	return nil
}
