// Package integration tests the webhook with a real kube-apiserver and without a cluster:
// the unchanged numbered manifests, the webhook as a process, and the admission chain around
// it. `make test` runs it in seconds.
//
// Tests that need a node, a controller or a container are in package e2e.
package integration

import (
	"context"
	"errors"
	"flag"
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
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const root = "../.."

// webhookLog is the name of the log of the product's programs in the API server's directory.
const webhookLog = "webhook.log"

// suiteContext is the context of everything that outlives a test. Ctrl-C cancels it.
var suiteContext, cancelSuite = context.WithCancel(context.Background())

func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancelSuite()
		_ = stops.stop() // the exit code already reports the interruption
		os.Exit(130)
	}()
	// Most tests wait for other processes, so that more tests than CPUs can run at the same time.
	// m.Run parses the flags, and -parallel still counts.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err) // package testing has the flag
	}
	code := m.Run()
	if err := stops.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	printMatrix(os.Stdout)
	printOwnerMatrix(os.Stdout)
	os.Exit(code)
}

// stopFunctions stop processes that do not need each other.
type stopFunctions struct {
	sync.Mutex
	functions []func() error
	ended     bool
}

// stops stop what the tests share, after all tests.
var stops stopFunctions

// push adds a function that stops a started process. If stop was already called, it calls the
// function.
func (s *stopFunctions) push(stop func() error) error {
	s.Lock()
	defer s.Unlock()
	if s.ended {
		return errors.Join(errors.New("everything was stopped"), stop())
	}
	s.functions = append(s.functions, stop)
	return nil
}

// stop calls the functions at the same time, because each of them waits for seconds.
func (s *stopFunctions) stop() error {
	s.Lock()
	defer s.Unlock()
	s.ended = true
	errs := make([]error, len(s.functions))
	var running sync.WaitGroup
	for i, stop := range s.functions {
		running.Go(func() { errs[i] = stop() })
	}
	running.Wait()
	s.functions = nil
	return errors.Join(errs...)
}

// webhookProgram builds the webhook once and returns its path.
var webhookProgram = sync.OnceValues(func() (string, error) {
	dir, release, err := apiserver.NewRunDir(suiteContext)
	if err != nil {
		return "", err
	}
	err = stops.push(func() error {
		defer release()
		return os.RemoveAll(dir)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "image-webhook"), localinstall.Build(suiteContext, root, dir, reporter())
})

// testServer is an API server with clients for it.
type testServer struct {
	*apiserver.Server
	client        clientset.Interface
	objects       dynamic.Interface
	installations stopFunctions
}

// Stop stops the installations, then the API server.
func (s *testServer) Stop() error { return errors.Join(s.installations.stop(), s.Server.Stop()) }

// reporter returns a reporter that shows progress on standard error.
func reporter() *progress.Reporter { return progress.New(os.Stderr) }

// startServer starts an API server with additional flags and without the webhook.
func startServer(flags func(dir string) (map[string][]string, error)) (*testServer, error) {
	return startServerWith(apiserver.Options{Flags: flags})
}

// startServerWith starts an API server without the webhook. It sets the programs in o.
func startServerWith(o apiserver.Options) (*testServer, error) {
	var err error
	if o.Programs, err = kubebuild.FromEnvironment(suiteContext, root); err != nil {
		return nil, err
	}
	apiServer, err := apiserver.Start(suiteContext, o, reporter())
	if err != nil {
		return nil, err
	}
	server := &testServer{Server: apiServer}
	if err := stops.push(server.Stop); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(apiServer.Config)
	config.WarningHandlerWithContext = warnings{}
	if server.client, err = clientset.NewForConfig(config); err != nil {
		return nil, err
	}
	server.objects, err = dynamic.NewForConfig(config)
	return server, err
}

// install installs the webhook with additional arguments.
func (s *testServer) install(args ...string) error {
	_, err := s.installWith(localinstall.Options{Args: map[string][]string{"image-webhook": args}})
	return err
}

// installWith installs the webhook. It sets the server, the programs and the log in o. The
// log is webhookLog in the API server's directory.
func (s *testServer) installWith(o localinstall.Options) (*localinstall.Installation, error) {
	path, err := webhookProgram()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(s.Dir, webhookLog))
	if err != nil {
		return nil, err
	}
	o.Server, o.Programs, o.Log = s.Server, filepath.Dir(path), log
	installed, err := localinstall.Install(suiteContext, o, reporter())
	if err != nil {
		return nil, err
	}
	return installed, s.installations.push(installed.Stop)
}

// warnings collects the API server's warnings for the context of collectWarnings.
type warnings struct{}

type warningsKey struct{}

// collectWarnings returns a context for one request, and the warnings of its response.
func collectWarnings(ctx context.Context) (context.Context, *[]string) {
	var texts []string
	return context.WithValue(ctx, warningsKey{}, &texts), &texts
}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if texts, ok := ctx.Value(warningsKey{}).(*[]string); ok {
		*texts = append(*texts, text)
	}
}
