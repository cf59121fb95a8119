// Package apiserver runs a real kube-apiserver and etcd as processes on this machine, without
// nodes and containers. Pods are admitted and stored, but do not run. It can also run
// kube-controller-manager with some of its controllers. The package does not know the webhook.
//
// Start returns when the API server answers. Stop ends the processes and removes their files.
// If this process is killed, the kernel kills them too, and the next Start removes their files.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/image-webhook/image-webhook/tools/controlplane/serviceproxy"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// startLimit is how long each process may take to start. An idle machine needs three seconds.
const startLimit = time.Minute

// Programs are the programs that Start always runs.
var Programs = []string{"etcd", "kube-apiserver"}

// Options are the programs and flags of a server.
type Options struct {
	Programs *kubebuild.Programs
	// Flags returns additional flags of kube-apiserver by name. It can write files to dir, the
	// server's directory. It may be nil.
	Flags func(dir string) (map[string][]string, error)
	// Controllers are the controllers of kube-controller-manager to run, such as
	// resourcequota-controller; empty: none.
	Controllers []string
	// ControllerFlags are additional flags of kube-controller-manager.
	ControllerFlags []string
}

// programNames returns the names of the programs to run, in the order of their start.
func (o Options) programNames() []string {
	if len(o.Controllers) == 0 {
		return Programs
	}
	return append(slices.Clone(Programs), ControllerManager)
}

// Server is a running API server.
type Server struct {
	Config   *rest.Config // for a member of system:masters, without client-side limits
	Dir      string       // the server's directory, which Stop removes
	Services *serviceproxy.Proxy

	user        *envtest.AuthenticatedUser
	plane       envtest.ControlPlane
	controllers *controllerManager // nil: none
	logs        []*os.File
	releaseDir  func()
	stopOnce    sync.Once
	stopErr     error
}

// Start builds the programs if they are missing, and starts them.
func Start(ctx context.Context, o Options, report *progress.Reporter) (*Server, error) {
	names := o.programNames()
	if err := o.Programs.Build(ctx, report, names...); err != nil {
		return nil, err
	}
	s := &Server{}
	var err error
	if s.Dir, s.releaseDir, err = NewRunDir(ctx); err != nil {
		return nil, err
	}
	err = report.Step("start "+strings.Join(names, ", ")+" "+o.Programs.Release, func(*progress.Step) error { return s.start(ctx, o) })
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) (err error) {
	if s.Services, err = serviceproxy.Listen(filepath.Base(s.Dir)); err != nil {
		return err
	}
	programs, err := s.wrapPrograms(o.Programs, o.programNames())
	if err != nil {
		return err
	}
	if err := s.configure(o, programs); err != nil {
		return err
	}
	if err := s.startPlane(ctx); err != nil {
		return err
	}
	if len(o.Controllers) == 0 {
		return nil
	}
	return s.startControllers(ctx, programs[ControllerManager], o)
}

// startPlane starts etcd and kube-apiserver, and creates a user.
func (s *Server) startPlane(ctx context.Context) (err error) {
	if err := s.plane.Start(); err != nil {
		name := "etcd"
		if s.tailLog("kube-apiserver") != "" { // it starts after etcd
			name = "kube-apiserver"
		}
		return s.startError(name, err)
	}
	s.user, err = s.plane.AddUser(envtest.User{Name: "kubernetes-admin", Groups: []string{"system:masters"}}, &rest.Config{QPS: -1})
	if err != nil {
		return fmt.Errorf("create a user of the API server: %w", err)
	}
	s.Config = s.user.Config()
	return context.Cause(ctx) // envtest takes no context
}

// configure prepares the programs, directories and flags of etcd and kube-apiserver.
func (s *Server) configure(o Options, programs map[string]string) (err error) {
	etcd, api := &envtest.Etcd{StartTimeout: startLimit}, &envtest.APIServer{StartTimeout: startLimit}
	etcd.Path, api.Path = programs["etcd"], programs["kube-apiserver"]
	if etcd.DataDir, err = s.mkdir("etcd"); err != nil {
		return err
	}
	if api.CertDir, err = s.mkdir("certs"); err != nil {
		return err
	}
	if etcd.Err, err = s.createLog("etcd"); err != nil {
		return err
	}
	if api.Err, err = s.createLog("kube-apiserver"); err != nil {
		return err
	}
	etcd.Out, api.Out = etcd.Err, api.Err
	egress := filepath.Join(s.Dir, "egress.yaml")
	if err := os.WriteFile(egress, []byte(s.Services.EgressSelector()), 0o600); err != nil {
		return err
	}
	flags := api.Configure().
		Append("egress-selector-config-file", egress).
		// Without a network, kube-apiserver finds no other address to advertise.
		Append("advertise-address", "127.0.0.1").
		Append("endpoint-reconciler-type", "none")
	s.plane = envtest.ControlPlane{APIServer: api, Etcd: etcd}
	if o.Flags == nil {
		return nil
	}
	additional, err := o.Flags(s.Dir)
	for name, values := range additional {
		flags.Append(name, values...)
	}
	return err
}

// mkdir creates a directory in the server's directory.
func (s *Server) mkdir(name string) (string, error) {
	path := filepath.Join(s.Dir, name)
	return path, os.MkdirAll(path, 0o700)
}

func (s *Server) createLog(name string) (*os.File, error) {
	file, err := os.Create(filepath.Join(s.Dir, name+".log"))
	if err == nil {
		s.logs = append(s.logs, file)
	}
	return file, err
}

// startError returns err with the last log lines of the program that did not start.
func (s *Server) startError(name string, err error) error {
	return &subprocess.Error{Err: fmt.Errorf("start %s: %w", name, err), Output: s.tailLog(name)}
}

// tailLog returns the last log lines of a program.
func (s *Server) tailLog(name string) string { return tail(filepath.Join(s.Dir, name+".log")) }

// Stop ends the processes and removes the directory. Further calls return the result of the
// first call.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() { s.stopErr = s.stop() })
	return s.stopErr
}

func (s *Server) stop() error {
	err := errors.Join(s.stopControllers(), s.plane.Stop())
	if s.Services != nil {
		err = errors.Join(err, s.Services.Close())
	}
	for _, log := range s.logs {
		log.Close()
	}
	err = errors.Join(err, os.RemoveAll(s.Dir))
	s.releaseDir()
	if err != nil {
		return fmt.Errorf("stop the API server: %w", err)
	}
	return nil
}

// Kubeconfig returns a kubeconfig with the user of Config.
func (s *Server) Kubeconfig() ([]byte, error) { return s.user.KubeConfig() }

// KubeconfigAs returns a kubeconfig that impersonates a user, like As.
func (s *Server) KubeconfigAs(user string) ([]byte, error) {
	content, err := s.Kubeconfig()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(content)
	if err != nil {
		return nil, err
	}
	for _, credentials := range config.AuthInfos {
		credentials.Impersonate = user
	}
	return clientcmd.Write(*config)
}

// As returns a client configuration that impersonates a user. The API server itself adds the
// groups of service accounts.
func (s *Server) As(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}
