package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("mode", func() {
	const (
		at       = `container "web" (spec.containers[0].image)`
		mirrored = "docker.mirror.example/library/nginx:latest"
	)
	warning := notAllowed + latestWarning(at, "nginx:latest")
	denial := denied + latestDenial(at, "nginx:latest", mirrored)
	DescribeTable("of a namespace decides about a pod",
		func(ctx SpecContext, mode string, want said) {
			namespace := newNamespace(ctx)
			setMode(ctx, namespace, mode)
			Expect(kubectl(ctx, "run", "web", "--image=nginx:latest", "--dry-run=server", "-n", namespace,
				"-o", "jsonpath={.spec.containers[0].image}")).To(Equal(want))
		},
		Entry("deny refuses", "deny", said{Stderr: warning + denial, Exit: 1}),
		Entry("warn warns, and mirrors", "warn", said{Stdout: mirrored, Stderr: warning}),
		Entry("off does nothing", "off", said{Stdout: "nginx:latest"}),
	)

	// Serial, because the log of a server ends with it, and installation replaces servers.
	It("that is unknown is warned about, logged, and treated as deny", Serial, func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(kubectl(ctx, "label", "namespace", namespace, "image-webhook.dev/mode=of")).To(Equal(said{
			Stdout: "namespace/" + namespace + " labeled\n",
			Stderr: `Warning: namespace "` + namespace + `" is treated as deny: set its label image-webhook.dev/mode to deny, warn or off instead of "of"` + "\n",
		}))
		var run said
		Eventually(func() string { // the API server may still know the namespace by its old labels
			run = kubectl(ctx, "run", "web", "--image=nginx:latest", "--dry-run=server", "-n", namespace)
			return run.Stderr
		}).WithContext(ctx).Should(ContainSubstring(
			`Warning: namespace "` + namespace + `" is treated as deny: its label image-webhook.dev/mode is none of deny, warn, off` + "\n"))
		Expect(run.Stderr).To(And(ContainSubstring(warning), HaveSuffix(denial)))
		Expect(run.Exit).To(Equal(1))
		Expect(succeed(ctx, "logs", "-n", own, "-l", "app.kubernetes.io/component=webhook", "--tail=-1")).
			To(ContainSubstring(`level=WARN msg=warned namespace=` + namespace + ` object=namespace/` + namespace + ` reason="namespace \"` + namespace + `\" is treated as deny: set its label`))
	})
})

// setMode labels a namespace, and waits until the API server goes by it.
func setMode(ctx context.Context, namespace, mode string) {
	GinkgoHelper()
	succeed(ctx, "label", "namespace", namespace, "image-webhook.dev/mode="+mode, "--overwrite")
	// What becomes of an image without a tag.
	want := map[string]said{
		"deny": {Stderr: denied, Exit: 1},
		"warn": {Stdout: "docker.mirror.example/library/probe", Stderr: notAllowed},
		"off":  {Stdout: "probe"},
	}[mode]
	Eventually(func(g Gomega) {
		run := kubectl(ctx, "run", "probe", "--image=probe", "--dry-run=server", "-n", namespace, "-o", "jsonpath={.spec.containers[0].image}")
		g.Expect(run).To(And(HaveField("Stdout", want.Stdout), HaveField("Exit", want.Exit), HaveField("Stderr", ContainSubstring(want.Stderr))))
	}).WithContext(ctx).Should(Succeed())
}
