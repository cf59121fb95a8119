package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/e2e/summary"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// run is one run of the suite.
type run struct {
	options
	root   string // the checkout
	stdout io.Writer
	report *progress.Reporter
	phases summary.Phases
}

// errFailed ends a run whose specs have not all passed; Ginkgo has said why.
var errFailed = errors.New("the suite has failed")

// do prepares the cluster, runs the specs and concludes.
func (r *run) do(ctx context.Context) error {
	if err := r.clearArtifacts(); err != nil {
		return err
	}
	compiling := inBackground(ctx, r.compile)
	defer compiling.stop()
	on, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	err = r.phases.Time("compile", func() error {
		return r.report.Step("compile the suite", func(*progress.Step) error { return compiling.wait() })
	})
	if err != nil {
		return fmt.Errorf("compile the suite: %w", err)
	}
	following := inBackground(ctx, func(ctx context.Context) error { return r.follow(ctx, on.client) })
	failed := r.phases.Time("specs", func() error { return r.specs(ctx, on) })
	following.stop()
	return r.conclude(ctx, on, failed)
}

// artifacts is where a run leaves what it found out.
func (r *run) artifacts(parts ...string) string {
	return filepath.Join(append([]string{r.root, "artifacts"}, parts...)...)
}

func (r *run) clearArtifacts() error {
	if err := os.RemoveAll(r.artifacts()); err != nil {
		return err
	}
	return os.MkdirAll(r.artifacts(), 0o755)
}

// compile builds the suite and the Ginkgo that go.mod names.
func (r *run) compile(ctx context.Context) error {
	for _, args := range [][]string{
		{"go", "test", "-c", "-o", suite, "./e2e"},
		{"go", "build", "-o", ginkgo, "github.com/onsi/ginkgo/v2/ginkgo"},
	} {
		if err := (command.Command{Args: args, Dir: r.root}).Run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// background is something that runs beside all else, in silence.
type background struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once it has ended
}

func inBackground(ctx context.Context, do func(context.Context) error) *background {
	ctx, cancel := context.WithCancel(ctx)
	b := &background{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		b.err = do(ctx)
	}()
	return b
}

// wait returns how it ended.
func (b *background) wait() error {
	<-b.ended
	return b.err
}

// stop ends it, if it has not ended.
func (b *background) stop() {
	b.cancel()
	<-b.ended
}
