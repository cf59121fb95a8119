package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// webhookProgram is the compiled program of the webhook.
func (r *run) webhookProgram() string { return filepath.Join(r.dir, Webhook) }

// build compiles the program of the webhook, as for its image.
func (r *run) build(ctx context.Context) error {
	return r.report.Step("compile "+Webhook, func(step *progress.Step) error {
		program := gobuild.Program{Package: "./webhook/cmd/" + Webhook, Output: r.webhookProgram()}
		return gobuild.Build(ctx, gobuild.Module{Dir: r.Root}, step, program)
	})
}

// command returns the command line of the process of a contender.
func (r *run) command(name string) (program string, args []string) {
	certificate := []string{"--tls-cert=" + r.certificate.certFile, "--tls-key=" + r.certificate.keyFile}
	if name == Webhook {
		return r.webhookProgram(), append([]string{"serve", "--server-addr=" + loopback + ":0", "--metrics-addr=" + loopback + ":0", "--registry-mirrors=" + MirrorRules}, certificate...)
	}
	return r.Self, append([]string{"serve", "--contender=" + name}, certificate...)
}

// serverProcess is the process of a contender, with connections to it.
type serverProcess struct {
	contender
	*localinstall.Process
	connections []*connection
}

// start starts the process of a contender and connects to it. The log of the process is read and
// discarded, as a container runtime reads it.
func (r *run) start(ctx context.Context, c contender, connections int) (*serverProcess, error) {
	s := &serverProcess{contender: c}
	program, args := r.command(c.name)
	err := r.cpus.startServer(func() (err error) {
		s.Process, err = localinstall.StartProcess(ctx, program, args, io.Discard)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	if s.connections, err = connectAll(ctx, connections, s.Addr, r.certificate.trusted); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// stop closes the connections and stops the process.
func (s *serverProcess) stop() error {
	closeAll(s.connections)
	return s.Stop()
}

// send sends a review to a path, as a load.
func (s *serverProcess) send(ctx context.Context, l load, path string, body []byte) (sample, error) {
	got, err := l.send(ctx, s.connections, newRequest(path, body))
	if err != nil {
		return got, fmt.Errorf("%s %s: %w", s.name, path, err)
	}
	return got, nil
}

// check returns an error if the answer to a review is wrong.
func (s *serverProcess) check(path string, r review) error {
	c := s.connections[0]
	err := c.post(newRequest(path, r.body))
	if err == nil && path != anyPath {
		err = r.check(path, c.body)
	}
	if err != nil {
		return fmt.Errorf("%s %s with %s: %w", s.name, path, r.name, err)
	}
	return nil
}
