package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("mode", func() {
	const mirrored = "docker.mirror.example/library/nginx:latest"
	warning := warningOfDenial(webContainer, "nginx:latest")
	reason := latestDenial(webContainer, "nginx:latest", mirrored)
	denial := denialPrefix("web") + reason
	warnings := warningOfFiles("", "-warn", reason) + warningPrefix + latestWarning(webContainer, "nginx:latest")
	if hybrid { // the webhook that mirrors warns, before the files
		warnings = warningPrefix + latestWarning(webContainer, "nginx:latest") + warningOfFiles("", "-warn", reason)
	}
	DescribeTable("applies to pods of the namespace:",
		func(ctx SpecContext, mode string, want result) {
			namespace := newNamespace(ctx)
			setMode(ctx, namespace, mode)
			Expect(kubectl(ctx, "run", "web", "--image=nginx:latest", "--dry-run=server", "-n", namespace,
				"-o", "jsonpath={.spec.containers[0].image}")).To(Equal(want))
		},
		Entry("deny denies", "deny", result{Stderr: warning + denial, Exit: 1}),
		Entry("warn warns and mirrors", "warn", result{Stdout: mirrored, Stderr: warnings}),
		Entry("off does nothing", "off", result{Stdout: "nginx:latest"}),
	)

	// Serial, because it reads the logs of the servers, which the installation specs replace.
	It("is treated as deny, with a warning and a log line, if it is unknown", Serial, func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		advice := `namespace "` + namespace + `" is treated as deny: set its label image-webhook.dev/mode to deny, warn or off instead of "of"` + "\n"
		Expect(kubectl(ctx, "label", "namespace", namespace, "image-webhook.dev/mode=of")).To(Equal(result{
			Stdout: "namespace/" + namespace + " labeled\n",
			Stderr: warningOfFiles("-unknown-mode", "-unknown-mode", advice) + "Warning: " + advice,
		}))
		var got result
		run := func(image string) string {
			got = kubectl(ctx, "run", "web", "--image="+image, "--dry-run=server", "-n", namespace)
			return got.Stderr
		}
		image := "nginx:latest"
		if hybrid || static { // the API server does not call validating webhooks for a pod that a policy denies
			image = "nginx:1.25"
		}
		Eventually(run).WithContext(ctx).WithArguments(image).Should(ContainSubstring( // the API server may still use the old labels of the namespace
			`Warning: namespace "` + namespace + `" is treated as deny: its label image-webhook.dev/mode is not deny, warn or off` + "\n"))
		Expect(run("nginx:latest")).To(And(ContainSubstring(warning), HaveSuffix(denial)))
		Expect(got.Exit).To(Equal(1))
		Expect(succeed(ctx, "logs", "-n", ownNamespace, "-l", "app.kubernetes.io/component=webhook", "--tail=-1")).
			To(MatchRegexp(`level=WARN msg=warned namespace=` + namespace + ` object=namespace/` + namespace + ` user=\S+ uid=\S+ reason="namespace \\"` + namespace + `\\" is treated as deny: set its label`))
	})
})

// setMode labels a namespace and waits until the API server applies the mode.
func setMode(ctx context.Context, namespace, mode string) {
	GinkgoHelper()
	succeed(ctx, "label", "namespace", namespace, "image-webhook.dev/mode="+mode, "--overwrite")
	// The expected result for an image without a tag.
	want := map[string]result{
		"deny": {Stderr: denialPrefix("probe"), Exit: 1},
		"warn": {Stdout: "docker.mirror.example/library/probe", Stderr: warningPrefix},
		"off":  {Stdout: "probe"},
	}[mode]
	Eventually(func(g Gomega) {
		got := kubectl(ctx, "run", "probe", "--image=probe", "--dry-run=server", "-n", namespace, "-o", "jsonpath={.spec.containers[0].image}")
		g.Expect(got).To(And(HaveField("Stdout", want.Stdout), HaveField("Exit", want.Exit), HaveField("Stderr", ContainSubstring(want.Stderr))))
	}).WithContext(ctx).Should(Succeed())
}
