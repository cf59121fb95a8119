package specrunner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// These programs are built by compile, relative to the top of the checkout.
const (
	suiteProgram  = "e2e/e2e.test"
	ginkgoProgram = "bin/ginkgo"
	chaosProgram  = "bin/chaos"                 // e2e/chaos_test.go runs it
	pluginProgram = "bin/kubectl-image_webhook" // e2e/status_test.go runs it
	helmProgram   = "bin/helm"                  // docs/check.md runs it
)

// runSpecs runs Ginkgo until it ends. It forwards interrupts to Ginkgo, which lets the specs clean
// up after the first one and ends immediately after the second.
func (r *run) runSpecs(ctx context.Context, cluster target) error {
	if cluster.kind != nil { // logs of a foreign cluster may contain secrets
		defer r.followLogs(ctx, cluster.kind)()
	}
	cmd := r.ginkgoCommand(cluster)
	interrupts := make(chan os.Signal, 8)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupts)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start Ginkgo: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-interrupts:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		case err := <-ended:
			return explainExit(err)
		}
	}
}

// ginkgoCommand returns a command in its own process group, so that only runSpecs can interrupt
// it.
func (r *run) ginkgoCommand(cluster target) *exec.Cmd {
	cmd := exec.Command(ginkgoProgram, r.ginkgoArgs(cluster)...)
	cmd.Dir = r.root
	cmd.Env = slices.Concat(os.Environ(), cluster.env(), []string{"TMPDIR=" + r.temporary()}, r.debugEnv())
	cmd.Stdout, cmd.Stderr = r.stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// explainExit returns errFailed for an exit code of Ginkgo, because Ginkgo has printed the
// reason.
func explainExit(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return errFailed
	}
	if err != nil {
		return fmt.Errorf("run Ginkgo: %w", err)
	}
	return nil
}

func (r *run) ginkgoArgs(cluster target) []string {
	args := []string{
		"run", "--procs=" + strconv.Itoa(r.Procs), "--fail-on-empty", "--randomize-all", "--timeout=60m", "--poll-progress-after=90s",
		"--output-dir=artifacts", "--junit-report=e2e.xml", "--json-report=e2e.json", "--focus=" + r.Focus, "--label-filter=" + r.labelFilter(cluster),
	}
	for flag, wanted := range map[string]bool{
		"--no-color":      !progress.Colored(r.stdout),
		"--github-output": os.Getenv("GITHUB_ACTIONS") != "",
		"--fail-fast":     r.Debug,
	} {
		if wanted {
			args = append(args, flag)
		}
	}
	return append(args, suiteProgram)
}

// labelFilter excludes the specs that need the kind cluster, if the cluster is another one, and
// the recorder, because it writes to the checkout.
func (r *run) labelFilter(cluster target) string {
	if r.Record {
		return "record"
	}
	filters := []string{"!record"}
	if cluster.kind == nil {
		filters = append(filters, "!dev-cluster")
	}
	if r.Labels != "" {
		filters = append(filters, "("+r.Labels+")")
	}
	return strings.Join(filters, " && ")
}

func (r *run) debugEnv() (env []string) {
	if r.Debug {
		env = append(env, "E2E_DEBUG=1")
	}
	return env
}
