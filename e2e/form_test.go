package e2e

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// hybrid is whether the cluster has the hybrid form, in which a policy of the API server denies.
var hybrid = os.Getenv("E2E_HYBRID") == "1"

// Parts of the messages of denials, one of each form.
const (
	deniedByWebhook = `admission webhook "validating.image-webhook.dev" denied the request: `
	deniedByPolicy  = `ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request: `
)

// denialBy returns how the reason of a denial is introduced.
func denialBy() string {
	if hybrid {
		return deniedByPolicy
	}
	return deniedByWebhook
}

// denialPrefix returns the beginning of kubectl's line about the denial of a pod.
func denialPrefix(pod string) string {
	if hybrid {
		return `Error from server (Forbidden): pods "` + pod + `" is forbidden: ` + deniedByPolicy
	}
	return "Error from server (Forbidden): " + deniedByWebhook
}

// asInWebhookForm returns the output of kubectl run nginx as the pages show it: with the denial of the
// webhook.
func asInWebhookForm(output string) string {
	return strings.ReplaceAll(output, denialPrefix("nginx"), "Error from server (Forbidden): "+deniedByWebhook)
}

// formManifest returns the path of a numbered manifest of the form.
func formManifest(name string) string {
	if hybrid && slices.Contains([]string{"05-webhookconfigure.yaml", "06-patch-webhookconfigure.yaml"}, name) {
		name = path.Join("hybrid", name)
	}
	return manifest(name)
}

// pathOfPods is the path that the API server calls for a new pod of the mode deny to find disallowed
// images, and verdictOnDisallowed is the answer.
func pathOfPods() (path, verdictOnDisallowed string) {
	if hybrid {
		return "/mutating/warn", "warned"
	}
	return "/validating", "denied"
}

// waitUntilNoServerAnswers waits until the API server gets no answer of a server. In the hybrid form,
// pods are then stored with the image that the user wrote, and latest is still denied.
func waitUntilNoServerAnswers(ctx context.Context, namespace string) {
	GinkgoHelper()
	if !hybrid {
		Eventually(func() error { return dryRun(ctx, newPod(namespace, "nginx:1.25")) }).WithContext(ctx).
			Should(MatchError(ContainSubstring(`failed calling webhook "validating.image-webhook.dev"`)))
		return
	}
	Eventually(func() (string, error) {
		pod := newPod(namespace, "nginx:1.25")
		err := dryRun(ctx, pod)
		return pod.Spec.Containers[0].Image, err
	}).WithContext(ctx).Should(Equal("nginx:1.25"))
	Expect(dryRun(ctx, newPod(namespace, "nginx:latest"))).To(MatchError(ContainSubstring(denialBy())))
}
