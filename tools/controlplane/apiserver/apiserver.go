// Package apiserver runs a real kube-apiserver and its etcd as two processes on this
// machine, and nothing else: no nodes, no controllers, no containers. Pods are
// admitted and stored, and run nowhere.
//
// Start returns when the API server answers; Stop ends both processes and removes
// what they wrote. Should this process be killed, the kernel ends them too, and the
// next Start removes what they wrote.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/image-webhook/image-webhook/tools/controlplane/serviceproxy"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// startLimit bounds the start of each process: three seconds on an idle machine.
const startLimit = time.Minute

// Needs are the programs that Start runs.
var Needs = []string{"etcd", "kube-apiserver"}

// Options say what to start.
type Options struct {
	Programs *kubebuild.Programs
	// Flags returns further flags of kube-apiserver by name, and writes the files that
	// they name into dir, the server's own folder. It may be nil.
	Flags func(dir string) (map[string][]string, error)
}

// Server is a running API server.
type Server struct {
	Config   *rest.Config // of a member of system:masters, without client-side limits
	Dir      string       // a folder of this server alone, removed by Stop
	Services *serviceproxy.Network

	user  *envtest.AuthenticatedUser
	plane envtest.ControlPlane
	logs  []*os.File
	free  func() // gives the folder up
	once  sync.Once
	ended error
}

// Start builds the programs if they are missing, and starts them.
func Start(ctx context.Context, o Options, report *progress.Reporter) (*Server, error) {
	if err := o.Programs.Build(ctx, report, Needs...); err != nil {
		return nil, err
	}
	s := &Server{}
	var err error
	if s.Dir, s.free, err = NewFolder(ctx); err != nil {
		return nil, err
	}
	err = report.Step("start etcd and kube-apiserver "+o.Programs.Release, func(*progress.Step) error { return s.start(o) })
	if err == nil {
		err = context.Cause(ctx) // envtest waits for no context
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(o Options) (err error) {
	if s.Services, err = serviceproxy.Listen(filepath.Base(s.Dir)); err != nil {
		return err
	}
	if err := s.configure(o); err != nil {
		return err
	}
	if err := s.plane.Start(); err != nil {
		return s.explain(err)
	}
	s.user, err = s.plane.AddUser(envtest.User{Name: "kubernetes-admin", Groups: []string{"system:masters"}}, &rest.Config{QPS: -1})
	if err != nil {
		return fmt.Errorf("make a user of the API server: %w", err)
	}
	s.Config = s.user.Config()
	return nil
}

// configure prepares both processes: their programs, their folders, their flags.
func (s *Server) configure(o Options) error {
	programs, err := s.mortal(o.Programs)
	if err != nil {
		return err
	}
	etcd, api := &envtest.Etcd{StartTimeout: startLimit}, &envtest.APIServer{StartTimeout: startLimit}
	etcd.Path, api.Path = programs["etcd"], programs["kube-apiserver"]
	if etcd.DataDir, err = s.folder("etcd"); err != nil {
		return err
	}
	if api.CertDir, err = s.folder("certs"); err != nil {
		return err
	}
	if etcd.Err, err = s.log("etcd"); err != nil {
		return err
	}
	if api.Err, err = s.log("kube-apiserver"); err != nil {
		return err
	}
	etcd.Out, api.Out = etcd.Err, api.Err
	egress := filepath.Join(s.Dir, "egress.yaml")
	if err := os.WriteFile(egress, []byte(s.Services.EgressSelector()), 0o600); err != nil {
		return err
	}
	flags := api.Configure().
		Append("egress-selector-config-file", egress).
		// Without a network of its own it would have no address to advertise.
		Append("advertise-address", "127.0.0.1").
		Append("endpoint-reconciler-type", "none")
	s.plane = envtest.ControlPlane{APIServer: api, Etcd: etcd}
	if o.Flags == nil {
		return nil
	}
	further, err := o.Flags(s.Dir)
	for name, values := range further {
		flags.Append(name, values...)
	}
	return err
}

// folder makes a folder below the server's.
func (s *Server) folder(name string) (string, error) {
	path := filepath.Join(s.Dir, name)
	return path, os.MkdirAll(path, 0o700)
}

// log makes the file that a process writes its log to.
func (s *Server) log(name string) (*os.File, error) {
	file, err := os.Create(filepath.Join(s.Dir, name+".log"))
	if err == nil {
		s.logs = append(s.logs, file)
	}
	return file, err
}

// explain adds the last words of the process that did not come up.
func (s *Server) explain(err error) error {
	name := "etcd"
	if words := tail(filepath.Join(s.Dir, "kube-apiserver.log")); words != "" {
		name = "kube-apiserver"
	}
	return &subprocess.Error{Err: fmt.Errorf("start %s: %w", name, err), Output: tail(filepath.Join(s.Dir, name+".log"))}
}

// Stop ends the processes and removes the folder. Further calls return what the
// first one did.
func (s *Server) Stop() error {
	s.once.Do(func() { s.ended = s.stop() })
	return s.ended
}

func (s *Server) stop() error {
	err := s.plane.Stop()
	if s.Services != nil {
		err = errors.Join(err, s.Services.Close())
	}
	for _, log := range s.logs {
		log.Close()
	}
	err = errors.Join(err, os.RemoveAll(s.Dir))
	s.free()
	if err != nil {
		return fmt.Errorf("stop the API server: %w", err)
	}
	return nil
}

// Kubeconfig is the configuration of kubectl for the user of Config.
func (s *Server) Kubeconfig() ([]byte, error) { return s.user.KubeConfig() }

// As is the configuration of another user: what that one may not do is refused. A
// service account's groups are added by the API server.
func (s *Server) As(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// URL is where the API server answers.
func (s *Server) URL() *url.URL { return s.plane.APIServer.SecureServing.URL("https", "/") }
