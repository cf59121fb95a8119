package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("mode", func() {
	const (
		at       = `container "web" (spec.containers[0].image) `
		warning  = notAllowed + at + `has image "nginx:latest"` + "\n"
		refusal  = warning + denied + at + `uses image "nginx:latest" (mirrored to "docker.mirror.example/library/nginx:latest"), ` + `whose tag "latest" is not allowed because it can change under you: name a fixed tag such as nginx:1.2.3 or pin a digest (nginx@sha256:...)` + "\n"
		mirrored = "docker.mirror.example/library/nginx:latest"
	)
	DescribeTable("of a namespace decides about a pod",
		func(ctx SpecContext, mode string, want said) {
			namespace := newNamespace(ctx)
			setMode(ctx, namespace, mode)
			Expect(kubectl(ctx, "run", "web", "--image=nginx:latest", "--dry-run=server", "-n", namespace,
				"-o", "jsonpath={.spec.containers[0].image}")).To(Equal(want))
		},
		Entry("deny refuses", "deny", said{Stderr: refusal, Exit: 1}),
		Entry("warn warns, and mirrors", "warn", said{Stdout: mirrored, Stderr: warning}),
		Entry("off does nothing", "off", said{Stdout: "nginx:latest"}),
	)

	It("that is none is warned about, logged, and treated as deny", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(kubectl(ctx, "label", "namespace", namespace, "image-webhook.dev/mode=of")).To(Equal(said{
			Stdout: "namespace/" + namespace + " labeled\n",
			Stderr: `Warning: namespace "` + namespace + `": the label image-webhook.dev/mode is "of", none of deny, warn, off: treated as deny` + "\n",
		}))
		var run said
		Eventually(func() string { // the API server may still know the namespace by its old labels
			run = kubectl(ctx, "run", "web", "--image=nginx:latest", "--dry-run=server", "-n", namespace)
			return run.Stderr
		}).WithContext(ctx).Should(ContainSubstring(
			`Warning: namespace "` + namespace + `": the label image-webhook.dev/mode is none of deny, warn, off: treated as deny` + "\n"))
		Expect(run.Stderr).To(And(ContainSubstring(warning), HaveSuffix(refusal[len(warning):])))
		Expect(run.Exit).To(Equal(1))
		Expect(succeed(ctx, "logs", "-n", own, "-l", "app.kubernetes.io/component=webhook", "--tail=-1")).
			To(ContainSubstring(`level=WARN msg=warned namespace=` + namespace + ` object=namespace/` + namespace + ` reason="namespace \"` + namespace + `\": the label image-webhook.dev/mode is \"of\"`))
	})
})

// setMode labels a namespace, and waits until the API server goes by it.
func setMode(ctx context.Context, namespace, mode string) {
	GinkgoHelper()
	succeed(ctx, "label", "namespace", namespace, "image-webhook.dev/mode="+mode, "--overwrite")
	want := map[string]said{
		"deny": {Exit: 1},
		"warn": {Stdout: "docker.mirror.example/library/probe"},
		"off":  {Stdout: "probe"},
	}[mode]
	Eventually(func() said {
		run := kubectl(ctx, "run", "probe", "--image=probe", "--dry-run=server", "-n", namespace, "-o", "jsonpath={.spec.containers[0].image}")
		run.Stderr = ""
		return run
	}).WithContext(ctx).Should(Equal(want))
}
