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
	"slices"
	"sync"
	"syscall"
	"testing"

	"k8s.io/client-go/dynamic"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const root = "../.."

// all is the context of what outlives a test; Ctrl-C ends it.
var all, interrupt = context.WithCancel(context.Background())

func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		interrupt()
		_ = started.stop() // there is nobody left to tell
		os.Exit(130)
	}()
	code := m.Run()
	if err := started.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	printMatrix(os.Stdout)
	os.Exit(code)
}

// stack is what is to be stopped in the end.
type stack struct {
	sync.Mutex
	stops []func() error
	ended bool
}

var started stack

// push adds something that has been started; at the end of everything it is stopped
// at once.
func (s *stack) push(stop func() error) error {
	s.Lock()
	defer s.Unlock()
	if s.ended {
		return errors.Join(errors.New("the tests have ended"), stop())
	}
	s.stops = append(s.stops, stop)
	return nil
}

// stop stops the last that was started first.
func (s *stack) stop() (err error) {
	s.Lock()
	defer s.Unlock()
	s.ended = true
	for _, stop := range slices.Backward(s.stops) {
		err = errors.Join(err, stop())
	}
	s.stops = nil
	return err
}

// program builds the webhook, once.
var program = sync.OnceValues(func() (string, error) {
	dir, free, err := apiserver.NewFolder(all)
	if err != nil {
		return "", err
	}
	err = started.push(func() error {
		defer free()
		return os.RemoveAll(dir)
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "image-webhook")
	return path, localinstall.Build(all, root, path, report())
})

// plane is an API server with what the tests speak to it by.
type plane struct {
	*apiserver.Server
	client  clientset.Interface
	objects dynamic.Interface
}

// report is where a person sees what takes long.
func report() *progress.Reporter { return progress.New(os.Stderr) }

// start starts an API server with further flags, without the webhook.
func start(flags func(dir string) (map[string][]string, error)) (*plane, error) {
	programs, err := kubebuild.FromEnvironment(all, root)
	if err != nil {
		return nil, err
	}
	server, err := apiserver.Start(all, apiserver.Options{Programs: programs, Flags: flags}, report())
	if err != nil {
		return nil, err
	}
	if err := started.push(server.Stop); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(server.Config)
	config.WarningHandlerWithContext = warnings{}
	p := &plane{Server: server}
	if p.client, err = clientset.NewForConfig(config); err != nil {
		return nil, err
	}
	p.objects, err = dynamic.NewForConfig(config)
	return p, err
}

// install installs the webhook, with further arguments.
func (p *plane) install(args ...string) error {
	path, err := program()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.Dir, "webhook.log"))
	if err != nil {
		return err
	}
	installed, err := localinstall.Install(all,
		localinstall.Options{Server: p.Server, Program: path, Args: args, Log: log}, report())
	if err != nil {
		return err
	}
	return started.push(installed.Stop)
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
