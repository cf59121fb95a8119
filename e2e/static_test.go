package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The API server of `make up STATIC=1` reads the policy from files.
//
// Ordered and Serial, because a spec deletes the registrations of the webhook for some seconds.
var _ = Describe("static files", Label(devCluster, "static"), Ordered, Serial, func() {
	BeforeAll(func(ctx SpecContext) {
		if !hasStaticFiles(ctx) {
			Skip("the API server reads no policies from files: create the cluster with STATIC=1")
		}
	})

	It("apply to the first pods of the cluster", func(ctx SpecContext) {
		// The addons of the cluster are as old as the API server. Their namespace is excluded, so that a new
		// cluster starts.
		Expect(succeed(ctx, "get", "pods", "-n", "kube-system", "-o", "jsonpath={.items[*].spec.containers[*].image}")).
			NotTo(ContainSubstring(dockerMirror))
		Expect(dryRun(ctx, newPod(dryRuns, "nginx:latest"))).
			To(MatchError(ContainSubstring("ValidatingAdmissionPolicy 'image-webhook.static.k8s.io'")))
	})

	It("deny and mirror when everything else is deleted", func(ctx SpecContext) {
		got := runScript(ctx, "undeletable.sh")
		Expect(got.Exit).To(BeZero(), got.Stderr)
		Expect(got.Stdout).To(ContainSubstring("ValidatingAdmissionPolicy 'image-webhook.static.k8s.io' with binding 'image-webhook.static.k8s.io' denied request: "))
		Expect(strings.Split(got.Stdout, "\n")).To(ContainElement(dockerMirror + "/library/nginx:1.25"))
	})
})

// hasStaticFiles reports whether the cluster was created with STATIC=1.
func hasStaticFiles(ctx context.Context) bool {
	GinkgoHelper()
	return strings.Contains(succeed(ctx, "get", "--raw", "/metrics"), `plugin="ValidatingAdmissionPolicy",`) &&
		strings.Contains(succeed(ctx, "get", "--raw", "/metrics"), "apiserver_manifest_admission_config_controller_last_config_info{")
}
