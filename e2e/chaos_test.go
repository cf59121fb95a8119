package e2e

import (
	"os"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	// chaosProgram creates pods while events happen, and counts what is lost. `make e2e` compiles
	// it.
	chaosProgram = "../bin/chaos"

	// chaosLimit is far more than the minute of a short run, because the machine may be busy.
	chaosLimit = 15 * time.Minute

	// chaosCleanupLimit is how long an interrupted run may take to restore the cluster.
	chaosCleanupLimit = 6 * time.Minute
)

// Serial, because it replaces the servers and the certificate, and measures what is lost.
var _ = Describe("chaos", Label(devCluster, "chaos"), Serial, func() {
	It("mirrors and denies every pod while replicas and certificates are replaced", func(ctx SpecContext) {
		DeferCleanup(func(ctx SpecContext) { webhookServes(ctx) })
		cmd := exec.CommandContext(ctx, chaosProgram, "--short", "--name="+target.cluster)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = chaosCleanupLimit
		got := runCommand(cmd)
		Expect(got.Exit).To(BeZero(), got.GomegaString())
		// The columns: creates, refused, not mirrored, not denied.
		Expect(got.Stdout).To(MatchRegexp(`(?m)^\| total +\| +[1-9]\d* \| +0 \| +0 \| +0 \|`))
	}, NodeTimeout(chaosLimit), GracePeriod(chaosCleanupLimit), PollProgressAfter(chaosLimit))
})
