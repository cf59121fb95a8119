// Package specrunner runs the Ginkgo suite of the directory e2e on a real cluster, and reports
// the result. It does not know the specs. A run has these steps:
//
//  1. find the cluster: the kind cluster of `make up`, or that of a kubeconfig with the webhook
//     installed in it; meanwhile the suite is compiled
//  2. on the kind cluster: create it if necessary, start the mirror in the background, build and
//     load the webhook's image, install the webhook of the checkout
//  3. run the specs, in parallel and in random order, and follow the logs of the webhook
//  4. write the summary; delete a cluster that this run created, unless a spec failed
//
// The results are written to the directory artifacts of the checkout: the summary, Ginkgo's
// reports and the diagnosis of each failed spec. The files of an earlier run are removed first.
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

// Options configure one run.
type Options struct {
	Name       string // name of the kind cluster
	Kubeconfig string // kubeconfig of a cluster with the webhook; empty: use the kind cluster
	Focus      string // regular expression for the texts of the specs to run
	Labels     string // Ginkgo's label filter for the specs to run
	Procs      int    // number of specs that run at the same time
	Keep       bool   // keep a cluster that was created for this run
	Debug      bool   // stop at the first failure and keep everything
	Record     bool   // record the golden reviews instead of running the specs
}

// Run runs the suite of the checkout in root. Ginkgo writes to stdout, and to the standard error of
// this process.
func Run(ctx context.Context, root string, o Options, stdout io.Writer, report *progress.Reporter) error {
	r := &run{Options: o, root: root, stdout: stdout, report: report}
	return r.runSuite(ctx)
}

// run is one run of the suite.
type run struct {
	Options
	root   string // the checkout
	stdout io.Writer
	report *progress.Reporter
	phases summary.Phases
}

// errFailed is the error of a run in which a spec failed. Ginkgo has printed the reason.
var errFailed = errors.New("the suite failed")

// runSuite prepares the cluster, runs the specs and writes the summary.
func (r *run) runSuite(ctx context.Context) error {
	prepare, err := r.findTarget(ctx)
	if err != nil {
		return err
	}
	if err := r.clearArtifacts(); err != nil {
		return err
	}
	preparing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	waitForCompiler, stopCompiler := r.background(ctx, "compile the suite", func(ctx context.Context, step *progress.Step) error {
		err := r.compile(ctx, step)
		if err != nil {
			cancel(fmt.Errorf("compile the suite: %w", err))
		}
		return err
	})
	defer stopCompiler()
	cluster, err := prepare(preparing)
	if err != nil {
		return err
	}
	if err := r.phases.Time("compile", waitForCompiler); err != nil {
		return fmt.Errorf("compile the suite: %w", err)
	}
	err = r.phases.Time("specs", func() error { return r.runSpecs(ctx, cluster) })
	return r.conclude(ctx, cluster, err)
}

// background starts task concurrently with the steps that follow. wait waits for its end, and
// stop ends it early.
func (r *run) background(ctx context.Context, name string, task func(context.Context, *progress.Step) error) (wait func() error, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	wait = r.report.Background(name, func(step *progress.Step) error {
		defer close(ended)
		return task(ctx, step)
	})
	return wait, func() {
		cancel()
		<-ended
	}
}

// artifacts returns a path in the directory for results.
func (r *run) artifacts(elem ...string) string {
	return filepath.Join(append([]string{r.root, "artifacts"}, elem...)...)
}

// temporary returns the directory for temporary files of the suite. If a run is killed, the next
// run removes it.
func (r *run) temporary() string { return r.artifacts("tmp") }

func (r *run) clearArtifacts() error {
	if err := os.RemoveAll(r.artifacts()); err != nil {
		return err
	}
	return os.MkdirAll(r.temporary(), 0o755)
}

// compile builds the suite, Ginkgo in the version of go.mod, and the programs that specs run.
func (r *run) compile(ctx context.Context, step *progress.Step) error {
	for _, args := range [][]string{
		{"go", "test", "-c", "-o", suiteProgram, "./e2e"},
		{"go", "build", "-o", ginkgoProgram, "github.com/onsi/ginkgo/v2/ginkgo"},
		{"go", "build", "-o", chaosProgram, "./tools/cmd/chaos"},
		{"go", "build", "-o", pluginProgram, "./webhook/cmd/kubectl-image_webhook"},
		{"go", "-C", "tools/pins/helm", "build", "-o", "../../../" + helmProgram, "helm.sh/helm/v4/cmd/helm"},
	} {
		if err := (subprocess.Command{Args: args, Dir: r.root, Progress: step}).Run(ctx); err != nil {
			return err
		}
	}
	return nil
}
