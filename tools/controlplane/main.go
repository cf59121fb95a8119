// Command controlplane runs a real kube-apiserver, its etcd and the webhook of the
// working tree as processes on this machine: no container engine, no nodes. Pods are
// admitted and stored, and run nowhere.
//
//	controlplane up       start them, or the webhook anew if they run
//	controlplane status   whether they run, and whether the webhook answers
//	controlplane env      shell commands that point kubectl at the API server
//	controlplane down     end them
//	controlplane build    only build etcd and kube-apiserver, as the tests need them
//
// The variable K8S chooses the version of Kubernetes, as 1.36.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/background"
	"github.com/image-webhook/image-webhook/tools/kubernetes"
	"github.com/image-webhook/image-webhook/tools/module"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/shellenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage marks what the person typed wrongly.
var errUsage = errors.New("see `controlplane --help`")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "controlplane: %v\n", err)
		return 2
	}
	return command.Print(stderr, "controlplane", err)
}

// planeName is what is safe as a folder's name.
var planeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	name := background.DefaultName
	root := &cobra.Command{
		Use:           "controlplane",
		Short:         "A real API server with the webhook in front, without containers",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w (%w)", err, errUsage) })
	root.PersistentFlags().StringVar(&name, "name", name, "which one, to have several")
	verb := func(use, short string, do func(ctx context.Context, p *background.Plane) error) *cobra.Command {
		v := &cobra.Command{Use: use, Short: short, Args: noArgs, RunE: func(c *cobra.Command, _ []string) error {
			if !planeName.MatchString(name) {
				return fmt.Errorf("--name %q cannot be used: write at most 40 lower-case letters, digits and dashes (%w)", name, errUsage)
			}
			p, err := background.Open(name)
			if err != nil {
				return err
			}
			return do(c.Context(), p)
		}}
		root.AddCommand(v)
		return v
	}
	report := progress.New(stderr)
	verb("up", "Start etcd, the API server and the webhook, or the webhook anew if they run", func(ctx context.Context, p *background.Plane) error {
		return up(ctx, p, name, report)
	})
	verb("status", "Show whether they run, and whether the webhook answers", func(ctx context.Context, p *background.Plane) error {
		return p.PrintStatus(ctx, stdout)
	})
	verb("env", "Print shell commands that point kubectl at the API server", func(_ context.Context, p *background.Plane) error {
		if _, err := p.State(); err != nil {
			return err
		}
		return shellenv.Print(stdout, p.Kubeconfig(), filepath.Dir(p.KubectlPath()))
	})
	verb("down", "End them", func(ctx context.Context, p *background.Plane) error { return p.Down(ctx, report) })
	verb("build", "Build etcd and kube-apiserver, and start nothing", func(ctx context.Context, _ *background.Plane) error {
		programs, _, err := pinned(ctx)
		if err != nil {
			return err
		}
		return programs.Build(ctx, report, apiserver.Needs...)
	})
	hold := verb("hold", "Hold them until told to stop: what `up` leaves running", func(ctx context.Context, p *background.Plane) error {
		programs, _, err := pinned(ctx)
		if err != nil {
			return err
		}
		return p.Hold(ctx, programs)
	})
	hold.Hidden = true
	return root
}

// noArgs refuses arguments that are not flags.
func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return fmt.Errorf("%w (%w)", err, errUsage)
	}
	return nil
}

// pinned is the version of Kubernetes that is asked for, and the folder of this
// repository's module.
func pinned(ctx context.Context) (*kubernetes.Programs, string, error) {
	root, err := module.Root(ctx)
	if err != nil {
		return nil, "", err
	}
	version, err := kubernetes.FromEnvironment(root)
	if err != nil {
		return nil, "", err
	}
	programs, err := kubernetes.Open(ctx, version)
	return programs, root, err
}

func up(ctx context.Context, p *background.Plane, name string, report *progress.Reporter) error {
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
	flag := ""
	if name != background.DefaultName {
		flag = " --name " + name
	}
	report.Note(`
A real API server, %s, with the webhook of this checkout. There are no nodes
and no controllers: pods are admitted and stored, and run nowhere.

  eval "$(bin/controlplane env%[2]s)"   # points kubectl at it
  bin/controlplane up%[2]s              # after a change: starts the webhook anew
  bin/controlplane down%[2]s            # ends it all
  %[3]s   # what the webhook says`, programs.Release, flag, p.Log())
	return nil
}
