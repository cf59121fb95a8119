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

// What compile builds, from the root of the checkout.
const (
	suite  = "e2e/e2e.test"
	ginkgo = "bin/ginkgo"
)

// specs runs Ginkgo until it has ended by itself. An interrupt is handed on to it: it
// has the specs clean up first, and goes at once when it is interrupted again.
func (r *run) specs(ctx context.Context, on target) error {
	if on.ours != nil { // in the log of another one there may be secrets of others
		defer r.follow(ctx, on.ours)()
	}
	cmd := r.ginkgo(on)
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
			return verdict(err)
		}
	}
}

// ginkgo is the command, in a group of processes of its own: interrupts come from specs
// alone.
func (r *run) ginkgo(on target) *exec.Cmd {
	cmd := exec.Command(ginkgo, r.ginkgoArgs(on)...)
	cmd.Dir = r.root
	cmd.Env = slices.Concat(os.Environ(), on.env(), []string{"TMPDIR=" + r.temporary()}, r.env())
	cmd.Stdout, cmd.Stderr = r.stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// verdict leaves out how Ginkgo ended where it has told the reason itself.
func verdict(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return errFailed
	}
	if err != nil {
		return fmt.Errorf("run Ginkgo: %w", err)
	}
	return nil
}

// ginkgoArgs are Ginkgo's arguments.
func (r *run) ginkgoArgs(on target) []string {
	args := []string{
		"run", "--procs=" + strconv.Itoa(r.Procs), "--fail-on-empty", "--randomize-all", "--timeout=60m", "--poll-progress-after=90s",
		"--output-dir=artifacts", "--junit-report=e2e.xml", "--json-report=e2e.json", "--focus=" + r.Focus, "--label-filter=" + r.labelFilter(on),
	}
	for flag, wanted := range map[string]bool{
		"--no-color":      !progress.Coloured(r.stdout),
		"--github-output": os.Getenv("GITHUB_ACTIONS") != "",
		"--fail-fast":     r.Debug,
	} {
		if wanted {
			args = append(args, flag)
		}
	}
	return append(args, suite)
}

// labelFilter leaves out what the cluster has no means for, and the recorder, which
// writes into the checkout.
func (r *run) labelFilter(on target) string {
	if r.Record {
		return "record"
	}
	filters := []string{"!record"}
	if on.ours == nil {
		filters = append(filters, "!dev-cluster")
	}
	if r.Labels != "" {
		filters = append(filters, "("+r.Labels+")")
	}
	return strings.Join(filters, " && ")
}

// env is what the suite has to know beside the cluster.
func (r *run) env() (env []string) {
	if r.Debug {
		env = append(env, "E2E_DEBUG=1")
	}
	return env
}
