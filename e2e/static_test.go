package e2e

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/image-webhook/image-webhook/tools/specrunner/reviewlog"
)

// The API server of `make up STATIC=1` reads the policy from files.
//
// Ordered and Serial, because a spec deletes the registrations of the webhook for some seconds.
var _ = Describe("static files", Label(devCluster, "static"), Ordered, Serial, func() {
	BeforeAll(func() {
		if !static {
			Skip("the API server reads no policies from files: create the cluster with STATIC=1")
		}
	})

	It("apply to the first pods of the cluster", func(ctx SpecContext) {
		// The addons of the cluster are as old as the API server. Their namespace is excluded, so that a new
		// cluster starts.
		Expect(succeed(ctx, "get", "pods", "-n", "kube-system", "-o", "jsonpath={.items[*].spec.containers[*].image}")).
			NotTo(ContainSubstring(dockerMirror))
		Expect(dryRun(ctx, newPod(dryRuns, "nginx:latest"))).
			To(MatchError(ContainSubstring(deniedByFiles)))
	})

	It("deny and mirror when everything else is deleted", func(ctx SpecContext) {
		restoreWebhook(ctx) // the script installs the webhook form without the flags of the suite
		got := runScript(ctx, "undeletable.sh")
		Expect(got.Exit).To(BeZero(), got.Stderr)
		Expect(got.Stdout).To(ContainSubstring(deniedByFiles))
		Expect(strings.Split(got.Stdout, "\n")).To(ContainElement(dockerMirror + "/library/nginx:1.25"))
	})
})

// restoreWebhook installs the webhook as it is now when the spec ends.
func restoreWebhook(ctx context.Context) {
	GinkgoHelper()
	cluster, _ := openMirror(ctx)
	image := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template.Spec.Containers[0].Image
	DeferCleanup(func(ctx SpecContext) {
		Expect(cluster.Refresh(ctx, image, reviewlog.Flags...)).To(Succeed())
	}, NodeTimeout(5*time.Minute))
}
