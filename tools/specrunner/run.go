// Package specrunner runs the Ginkgo suite of the folder e2e on a real cluster, and
// reports the result.
//
// It creates the kind cluster of `make up` with the mirror in it and installs the webhook
// of the checkout there; or it takes the cluster of a kubeconfig, and the webhook that is
// installed there. A cluster that it created is deleted at the end, unless a spec failed.
//
// The folder artifacts of the checkout gets the summary, Ginkgo's reports and, for each
// failed spec, what the cluster shows about it. An earlier run's files are removed first.
package specrunner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Options are the choices of one run.
type Options struct {
	Name       string // of the kind cluster
	Kubeconfig string // of another cluster, where the webhook is installed; empty: the kind cluster
	Focus      string // a regular expression; only specs whose text matches run
	Labels     string // a label filter of Ginkgo
	Procs      int    // how many specs run at the same time
	Keep       bool   // keep a cluster that was created for this run
	Debug      bool   // stop at the first failure and keep everything
	Record     bool   // record the golden reviews instead of running the specs
}

// Run runs the suite of the checkout in root. What Ginkgo prints goes to stdout, and to
// the standard error of this process.
func Run(ctx context.Context, root string, o Options, stdout io.Writer, report *progress.Reporter) error {
	r := &run{Options: o, root: root, stdout: stdout, report: report}
	return r.do(ctx)
}

// run is one run of the suite.
type run struct {
	Options
	root   string // the checkout
	stdout io.Writer
	report *progress.Reporter
	phases summary.Phases
}

// errFailed ends a run whose specs have not all passed; Ginkgo has said why.
var errFailed = errors.New("the suite has failed")

// do prepares the cluster, runs the specs and concludes.
func (r *run) do(ctx context.Context) error {
	prepare, err := r.find(ctx)
	if err != nil {
		return err
	}
	if err := r.clearArtifacts(); err != nil {
		return err
	}
	preparing, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	compiled, stopCompiling := r.beside(ctx, "compile the suite", func(ctx context.Context, step *progress.Step) error {
		err := r.compile(ctx, step)
		if err != nil {
			giveUp(fmt.Errorf("compile the suite: %w", err))
		}
		return err
	})
	defer stopCompiling()
	on, err := prepare(preparing)
	if err != nil {
		return err
	}
	if err := r.phases.Time("compile", compiled); err != nil {
		return fmt.Errorf("compile the suite: %w", err)
	}
	return r.conclude(ctx, on, r.phases.Time("specs", func() error { return r.specs(ctx, on) }))
}

// beside starts do beside the steps that follow: wait is its end, and stop ends it
// where nobody will want it any more.
func (r *run) beside(ctx context.Context, name string, do func(context.Context, *progress.Step) error) (wait func() error, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	wait = r.report.Background(name, func(step *progress.Step) error {
		defer close(ended)
		return do(ctx, step)
	})
	return wait, func() {
		cancel()
		<-ended
	}
}

// artifacts is where a run leaves what it found out.
func (r *run) artifacts(parts ...string) string {
	return filepath.Join(append([]string{r.root, "artifacts"}, parts...)...)
}

// temporary is for what the suite needs while it runs; a run that was killed leaves it
// to the next one.
func (r *run) temporary() string { return r.artifacts("tmp") }

func (r *run) clearArtifacts() error {
	if err := os.RemoveAll(r.artifacts()); err != nil {
		return err
	}
	return os.MkdirAll(r.temporary(), 0o755)
}

// compile builds the suite and the Ginkgo that go.mod names.
func (r *run) compile(ctx context.Context, step *progress.Step) error {
	for _, args := range [][]string{
		{"go", "test", "-c", "-o", suite, "./e2e"},
		{"go", "build", "-o", ginkgo, "github.com/onsi/ginkgo/v2/ginkgo"},
	} {
		if err := (subprocess.Command{Args: args, Dir: r.root, Progress: step}).Run(ctx); err != nil {
			return err
		}
	}
	return nil
}
