package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	// nodeFiles is the directory on the control-plane node that the API server of `make up STATIC=1` reads.
	nodeFiles = "/etc/kubernetes/image-webhook"
	// staticPodManifest is the file from which the kubelet runs the webhook.
	staticPodManifest = "/etc/kubernetes/manifests/image-webhook.yaml"
)

// The static pod of deploy/image-policy, which the API server calls without a registration in the API.
//
// Serial, because the spec deletes the registrations in the API.
var _ = Describe("static pod", Label(devCluster, "static"), Serial, func() {
	It("mirrors and warns beside a policy that denies", func(ctx SpecContext) {
		if !static {
			Skip("the API server reads no policies from files: create the cluster with STATIC=1")
		}
		if _, err := exec.LookPath("openssl"); err != nil {
			Skip("openssl is not on the PATH")
		}
		files := startStaticPod(ctx)
		useStaticWebhook(ctx, files)
		restoreWebhook(ctx)
		succeed(ctx, "delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-l", "app.kubernetes.io/name=image-webhook")

		const warning = "Warning: use `latest` tag is not allowed: container \"nginx\" (spec.containers[0].image) has image \"nginx:latest\"\n"
		Eventually(func() result {
			return kubectl(ctx, "run", "nginx", "--image=nginx:latest", "--dry-run=server", "-n", dryRuns)
		}).WithContext(ctx).Should(And(
			HaveField("Stderr", HavePrefix(warning)),
			HaveField("Stderr", ContainSubstring(deniedByFiles)),
		))
		pod := newPod(dryRuns, "nginx:1.25")
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal(dockerMirror + "/library/nginx:1.25"))
	}, SpecTimeout(5*time.Minute))
})

// startStaticPod starts the static pod as deploy/image-policy/README.md says, and removes it when the spec ends. It
// returns the directory of its files on this machine.
func startStaticPod(ctx context.Context) (files string) {
	GinkgoHelper()
	cluster, _ := openMirror(ctx)
	files = filepath.Join(filepath.Dir(cluster.Kubeconfig()), "static")
	Expect(runCommand(exec.CommandContext(ctx, manifest("image-policy/certificates.sh"), files)).Exit).To(BeZero())
	policy := succeed(ctx, "get", "configmap", "image-policy", "-n", ownNamespace, "-o", `jsonpath={.data.policy\.yaml}`)
	Expect(os.WriteFile(filepath.Join(files, "policy.yaml"), []byte(policy), 0o600)).To(Succeed())
	pod, err := os.ReadFile(manifest("image-policy/static-pod.yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(files, "static-pod.yaml"), pod, 0o600)).To(Succeed())
	node := cluster.Name + "-control-plane"
	DeferCleanup(func(ctx SpecContext) {
		Expect(cluster.RunOnNode(ctx, node, "rm", "-f", staticPodManifest)).To(Succeed())
		succeed(ctx, "wait", "--for=delete", "pod/image-webhook-"+node, "-n", "kube-system", "--timeout=60s")
		for _, pattern := range []string{"*.crt", "*.key", "policy.yaml", "static-pod.yaml"} {
			found, err := filepath.Glob(filepath.Join(files, pattern))
			Expect(err).NotTo(HaveOccurred())
			for _, file := range found {
				Expect(os.Remove(file)).To(Succeed())
			}
		}
	})
	Expect(cluster.RunOnNode(ctx, node, "cp", nodeFiles+"/static-pod.yaml", staticPodManifest)).To(Succeed())
	Eventually(func() result {
		return kubectl(ctx, "wait", "--for=condition=Ready", "pod/image-webhook-"+node, "-n", "kube-system", "--timeout=60s")
	}).WithContext(ctx).WithTimeout(90 * time.Second).Should(HaveField("Exit", 0))
	return files
}

// useStaticWebhook lets the API server call the static pod, without a restart, until the spec ends.
func useStaticWebhook(ctx context.Context, files string) {
	GinkgoHelper()
	policy := filepath.Join(GinkgoT().TempDir(), "policy.yaml") // the cleanup needs it after the files are removed
	content, err := os.ReadFile(filepath.Join(files, "policy.yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(policy, content, 0o600)).To(Succeed())
	write := func(ctx context.Context, args ...string) {
		GinkgoHelper()
		got := pluginCommand(ctx, append([]string{"policy", "--config=" + policy, "--static=" + files, "--static-admin=kubernetes-admin", "--verify"}, args...)...)
		Expect(got.Exit).To(BeZero(), got.Stdout+got.Stderr)
	}
	DeferCleanup(func(ctx SpecContext) { write(ctx) })
	write(ctx, "--static-webhook=https://127.0.0.1:9443", "--static-webhook-ca="+filepath.Join(files, "ca.crt"), "--validating")
}
