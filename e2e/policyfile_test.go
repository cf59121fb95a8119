package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

// policyKey is the key of the policy file in its ConfigMap.
const policyKey = "policy.yaml"

// Serial, because the policy applies to the pods of all specs, and other specs replace the servers.
var _ = Describe("policy file", Label(devCluster), Serial, func() {
	It("is in force on all servers without a restart, and stays in force if the next one is invalid", func(ctx SpecContext) {
		// Another spec may have replaced the servers.
		succeed(ctx, "rollout", "status", "deployment/webhook", "-n", ownNamespace, "--timeout=90s")
		Eventually(func() []corev1.Pod { return servers(ctx) }).WithContext(ctx).Should(HaveLen(2))
		original := get(ctx, &corev1.ConfigMap{}, policyConfigMap).Data[policyKey]
		before := containersOf(ctx)
		DeferCleanup(func(ctx SpecContext) {
			setPolicy(ctx, original)
			waitForPolicy(ctx, policyState{version: policyVersion(original), loaded: true})
			annotateServers(ctx, "-")
			Expect(dryRun(ctx, newPod(dryRuns, deniedImage))).To(Succeed(), "the policy is the original one again")
		})
		Expect(dryRun(ctx, newPod(dryRuns, deniedImage))).To(Succeed(), "an image that the original policy allows")

		By("deny one more image")
		const reason = "CVE-2026-0001"
		changed := strings.TrimSuffix(original, "\n") + "\ndeniedImages:\n  - image: " + deniedImage + "\n    reason: " + reason + "\n"
		started := time.Now()
		setPolicy(ctx, changed)
		waitForPolicy(ctx, policyState{version: policyVersion(changed), loaded: true})
		AddReportEntry("seconds until all servers use a changed policy file", fmt.Sprintf("%.1f", time.Since(started).Seconds()))
		expectDenied(ctx, reason)

		By("replace the file with an invalid one")
		broken := strings.Replace(changed, "disallowedTags:", "disalowedTags:", 1)
		Expect(broken).NotTo(Equal(changed))
		started = time.Now()
		setPolicy(ctx, broken)
		waitForPolicy(ctx, policyState{version: policyVersion(changed), loaded: false})
		AddReportEntry("seconds until all servers refuse an invalid policy file", fmt.Sprintf("%.1f", time.Since(started).Seconds()))
		expectDenied(ctx, reason)
		for _, name := range serverNames(ctx) {
			Expect(succeed(ctx, "logs", name, "-n", ownNamespace, "--tail=-1")).To(And(
				MatchRegexp(`level=INFO msg="reloaded the policy" version=`+policyVersion(changed)),
				MatchRegexp(`level=ERROR msg="keeping the old policy" version=`+policyVersion(changed)+` problem=".*disalowedTags`)), name)
		}
		Expect(containersOf(ctx)).To(Equal(before), "the containers did not restart")
	})
})

// deniedImage is an image that only the spec about the policy file denies.
const deniedImage = "quay.io/e2e/denied:1"

// expectDenied expects the denial of deniedImage. In the hybrid form, the servers only warn.
func expectDenied(ctx context.Context, reason string) {
	GinkgoHelper()
	if hybrid {
		Expect(kubectl(ctx, "run", "web", "--image="+deniedImage, "--dry-run=server", "-n", dryRuns).Stderr).
			To(Equal("Warning: image is denied: " + webContainer + ` has image "` + deniedImage + `": ` + reason + "\n"))
		return
	}
	Expect(dryRun(ctx, newPod(dryRuns, deniedImage))).To(MatchError(And(
		ContainSubstring(deniedByWebhook), ContainSubstring(reason))))
}

// policyVersion returns the version of a policy file.
func policyVersion(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])[:12]
}

// setPolicy changes the policy file.
func setPolicy(ctx context.Context, content string) {
	GinkgoHelper()
	update(ctx, &corev1.ConfigMap{}, policyConfigMap, func(c *corev1.ConfigMap) { c.Data[policyKey] = content })
}

// annotateServers sets or, with the suffix "-", removes an annotation. A changed annotation makes the
// kubelets update the volumes of the servers at once, as docs/operations.md says.
func annotateServers(ctx context.Context, value string) {
	GinkgoHelper()
	succeed(ctx, "annotate", "pods", "-l", "app.kubernetes.io/component=webhook", "-n", ownNamespace, "--overwrite", "image-webhook.dev/policy-changed"+value)
}

// policyState is what the metrics of a server say about its policy file.
type policyState struct {
	version string // in force
	loaded  bool   // false: the server has refused a newer file
}

// waitForPolicy waits until all servers are in a state.
func waitForPolicy(ctx context.Context, want policyState) {
	GinkgoHelper()
	var annotated time.Time
	Eventually(func() (map[string]policyState, error) {
		// A kubelet may not know the new ConfigMap yet when it gets the annotation.
		if time.Since(annotated) > 5*time.Second {
			annotated = time.Now()
			annotateServers(ctx, fmt.Sprintf("=%d", annotated.UnixNano()))
		}
		return policyStates(ctx)
	}).WithContext(ctx).WithPolling(250 * time.Millisecond).Should(And(HaveLen(2), HaveEach(want)))
}

// policyStates returns the states of the servers, by name.
func policyStates(ctx context.Context) (map[string]policyState, error) {
	GinkgoHelper()
	states := map[string]policyState{}
	for _, name := range serverNames(ctx) {
		metrics, err := metricsOf(ctx, name)
		if err != nil {
			return nil, err
		}
		state := policyState{loaded: strings.Contains(metrics, `image_webhook_file_last_reload_successful{file="policy"} 1`+"\n")}
		if _, labels, found := strings.Cut(metrics, "\nimage_webhook_policy_info{"); found {
			_, state.version, _ = strings.Cut(labels, `version="`)
			state.version, _, _ = strings.Cut(state.version, `"`)
		}
		states[name] = state
	}
	return states, nil
}

// metricsOf returns the metrics of a server as text.
func metricsOf(ctx context.Context, name string) (string, error) {
	GinkgoHelper()
	text, err := clientset().CoreV1().Pods(ownNamespace).ProxyGet("http", name, "9090", "metrics", nil).DoRaw(ctx)
	return string(text), err
}

// containersOf returns the IDs of the servers' containers, which change with a restart, by pod.
func containersOf(ctx context.Context) map[string]string {
	GinkgoHelper()
	ids := map[string]string{}
	for _, pod := range servers(ctx) {
		for _, status := range pod.Status.ContainerStatuses {
			ids[pod.Name] = status.ContainerID
		}
	}
	return ids
}
