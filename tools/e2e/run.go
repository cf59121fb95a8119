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
	prepare, err := r.find(ctx)
	if err != nil {
		return err
	}
	compiling, cancel := context.WithCancel(ctx)
	defer cancel()
	compiled := r.report.Background("compile the suite", func(step *progress.Step) error { return r.compile(compiling, step) })
	on, err := prepare(ctx)
	if err != nil {
		cancel()
		_ = compiled()
		return err
	}
	if err := r.phases.Time("compile", compiled); err != nil {
		return fmt.Errorf("compile the suite: %w", err)
	}
	stop := r.follow(ctx, on.client)
	failed := r.phases.Time("specs", func() error { return r.specs(ctx, on) })
	stop()
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
func (r *run) compile(ctx context.Context, step *progress.Step) error {
	for _, args := range [][]string{
		{"go", "test", "-c", "-o", suite, "./e2e"},
		{"go", "build", "-o", ginkgo, "github.com/onsi/ginkgo/v2/ginkgo"},
	} {
		if err := (command.Command{Args: args, Dir: r.root, Progress: step}).Run(ctx); err != nil {
			return err
		}
	}
	return nil
}
