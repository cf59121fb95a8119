// Package integration tests the webhook on a real kube-apiserver, without a cluster:
// the numbered manifests as they are, the webhook as a process, and the admission
// chain around it. `make test` runs it, in seconds.
//
// What takes a node, a controller or a container is tested by package e2e.
package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"k8s.io/client-go/dynamic"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/installation"
	"github.com/image-webhook/image-webhook/tools/kubernetes"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const root = "../.."

// all is the context of what outlives a test; Ctrl-C ends it.
var all, interrupt = context.WithCancel(context.Background())

// planes are the API servers of this run, each started when a test first needs it.
var planes struct {
	sync.Mutex
	started []*plane
}

// program is the webhook, built with the first of them.
var program string

func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		interrupt()
		_ = stopPlanes() // there is nobody left to tell
		os.Exit(130)
	}()
	code := m.Run()
	if err := stopPlanes(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	printMatrix(os.Stdout)
	os.Exit(code)
}

// stopPlanes ends what the tests have started.
func stopPlanes() (err error) {
	planes.Lock() // and for good: nothing starts any more
	for _, p := range planes.started {
		err = errors.Join(err, p.stop())
	}
	planes.started = nil
	return err
}

// plane is an API server with what the tests speak to it by.
type plane struct {
	*apiserver.Server
	client  clientset.Interface
	objects dynamic.Interface
	webhook *installation.Installation
}

// report is where a person sees what takes long.
func report() *progress.Reporter { return progress.New(os.Stderr) }

// start starts an API server with further flags, without the webhook.
func start(flags func(dir string) (map[string][]string, error)) (*plane, error) {
	planes.Lock()
	defer planes.Unlock()
	version, err := kubernetes.FromEnvironment(root)
	if err != nil {
		return nil, err
	}
	programs, err := kubernetes.Open(all, version)
	if err != nil {
		return nil, err
	}
	server, err := apiserver.Start(all, apiserver.Options{Programs: programs, Flags: flags}, report())
	if err != nil {
		return nil, err
	}
	p := &plane{Server: server}
	planes.started = append(planes.started, p)
	if program == "" {
		program = filepath.Join(server.Dir, "image-webhook")
		if err := installation.Build(all, root, program, report()); err != nil {
			return nil, err
		}
	}
	config := rest.CopyConfig(server.Config)
	config.WarningHandlerWithContext = warnings{}
	if p.client, err = clientset.NewForConfig(config); err != nil {
		return nil, err
	}
	p.objects, err = dynamic.NewForConfig(config)
	return p, err
}

// install installs the webhook, with further arguments.
func (p *plane) install(args ...string) (err error) {
	log, err := os.Create(filepath.Join(p.Dir, "webhook.log"))
	if err != nil {
		return err
	}
	p.webhook, err = installation.Install(all,
		installation.Options{Server: p.Server, Program: program, Args: args, Log: log}, report())
	return err
}

func (p *plane) stop() (err error) {
	if p.webhook != nil {
		err = p.webhook.Stop()
	}
	return errors.Join(err, p.Server.Stop())
}

// warnings collects what the API server warns about, for the context of collect.
type warnings struct{}

type warningsKey struct{}

// collect returns a context for one request, and the warnings of its answer.
func collect(ctx context.Context) (context.Context, *[]string) {
	var texts []string
	return context.WithValue(ctx, warningsKey{}, &texts), &texts
}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if texts, ok := ctx.Value(warningsKey{}).(*[]string); ok {
		*texts = append(*texts, text)
	}
}
