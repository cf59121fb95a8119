// Command namespace-owner makes namespaces usable whose owner image-webhook has written into
// their annotations: it creates a quota and limits, and binds the owner to a ClusterRole.
// Package ownercontroller does the work.
//
// The exit code is 0 after a signal to stop, 2 for a usage error, and 1 for any other error.
// With an invalid template, the program waits until it is valid, and is not ready.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/klog/v2"

	"github.com/image-webhook/image-webhook/webhook/kubeconfig"
	"github.com/image-webhook/image-webhook/webhook/ownercontroller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program immediately.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := newCommand()
	c.SetArgs(args)
	c.SetOut(stdout)
	c.SetErr(stderr)
	err := c.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "namespace-owner: %v\n", err)
	if failed := (*runError)(nil); errors.As(err, &failed) {
		return 1
	}
	return 2
}

// runError is an error of a program with a valid command line.
type runError struct{ error }

// options holds the flags.
type options struct {
	kubeconfig, clusterRole, templateDir, healthAddr string
}

const examples = `  # As in deploy/namespace-owner/04-controller.yaml
  namespace-owner --cluster-role=admin --template-dir=/etc/namespace-owner

  # On your machine, with another role for owners
  namespace-owner --kubeconfig=$HOME/.kube/config --cluster-role=edit --template-dir=.`

func newCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:                   "namespace-owner [flags]",
		Short:                 "Give the owners of new namespaces their rights and a quota",
		Example:               examples,
		Args:                  rejectArguments,
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return o.run(c.Context(), slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)))
		},
	}
	c.CompletionOptions.DisableDefaultCmd = true
	f := c.Flags()
	f.StringVar(&o.clusterRole, "cluster-role", "admin", "bind owners to the ClusterRole with this `name`")
	f.StringVar(&o.templateDir, "template-dir", "/etc/namespace-owner", "read resourcequota.yaml and limitrange.yaml from this\n`directory`; reload them when they change; without a file,\nnamespaces have no such object")
	f.StringVar(&o.healthAddr, "health-addr", ":8081", "serve /healthz and /readyz on this address,\n`[HOST]:PORT`")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "connect with this kubeconfig `file` (default: the pod's\nservice account, or outside of a pod the file that\nkubectl uses)")
	return c
}

func rejectArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: use only flags; see namespace-owner --help", args[0])
	}
	return nil
}

// check returns an error for a flag that can never work.
func (o options) check() error {
	if problems := content.IsPathSegmentName(o.clusterRole); len(problems) > 0 || o.clusterRole == "" {
		return fmt.Errorf("--cluster-role: invalid name %q: use the name of a ClusterRole, such as admin", o.clusterRole)
	}
	if _, err := net.ResolveTCPAddr("tcp", o.healthAddr); err != nil {
		return fmt.Errorf("--health-addr: invalid address %q: use [HOST]:PORT, such as :8081", o.healthAddr)
	}
	if info, err := os.Stat(o.templateDir); err != nil || !info.IsDir() {
		return fmt.Errorf("--template-dir: %q is not a directory: use the directory with resourcequota.yaml and limitrange.yaml", o.templateDir)
	}
	return nil
}

// run runs the controller and its probes until ctx ends.
func (o options) run(ctx context.Context, log *slog.Logger) error {
	klog.SetSlogLogger(log) // client-go logs with klog
	config, err := kubeconfig.Load(o.kubeconfig)
	if err != nil {
		return &runError{err}
	}
	host, err := os.Hostname()
	if err != nil {
		return &runError{fmt.Errorf("find the name of this host: %w", err)}
	}
	controller, err := ownercontroller.New(ownercontroller.Options{
		Config: config, ClusterRole: o.clusterRole, TemplateDir: o.templateDir,
		Identity: host + "_" + string(uuid.NewUUID()), Log: log,
	})
	if err != nil {
		return &runError{err}
	}
	l, err := net.Listen("tcp", o.healthAddr)
	if err != nil {
		return &runError{fmt.Errorf("cannot listen on %s: %w: choose another address with --health-addr", o.healthAddr, err)}
	}
	log.Info("serving", "addr", l.Addr().String(), "clusterRole", o.clusterRole, "templateDir", o.templateDir)
	if err := runBoth(ctx, controller, l); err != nil {
		return &runError{err}
	}
	log.Info("stopped")
	return nil
}

// runBoth runs the controller, and serves the probes on l.
func runBoth(ctx context.Context, controller *ownercontroller.Controller, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	probes := &http.Server{Handler: probeHandler(controller.Ready), ReadHeaderTimeout: 5 * time.Second}
	g.Go(func() error { return controller.Run(ctx) })
	g.Go(func() error {
		if err := probes.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve probes on %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return probes.Close()
	})
	return g.Wait()
}

// probeHandler answers /healthz with 200, and /readyz with 503 and the reason while ready
// returns an error.
func probeHandler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}
