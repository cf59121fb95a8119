package e2e

import (
	"context"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// hybrid is whether the cluster has the hybrid form, in which a policy of the API server denies. static is
// whether the API server reads policies from files, which mirror and deny before everything else, in either form.
var (
	hybrid = os.Getenv("E2E_HYBRID") == "1"
	static = os.Getenv("E2E_STATIC") == "1"
)

// Parts of the messages of denials.
const (
	deniedByWebhook = `admission webhook "validating.image-webhook.dev" denied the request: `
	deniedByPolicy  = `ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request: `
	deniedByFiles   = `ValidatingAdmissionPolicy 'image-webhook.static.k8s.io' with binding 'image-webhook.static.k8s.io' denied request: `
)

// denialBy returns how the reason of a denial is introduced.
func denialBy() string {
	switch {
	case static:
		return deniedByFiles
	case hybrid:
		return deniedByPolicy
	}
	return deniedByWebhook
}

// denialPrefix returns the beginning of kubectl's line about the denial of a pod.
func denialPrefix(pod string) string {
	if static || hybrid {
		return `Error from server (Forbidden): pods "` + pod + `" is forbidden: ` + denialBy()
	}
	return "Error from server (Forbidden): " + deniedByWebhook
}

// warnsOnDenial is whether a webhook that warns is called for a pod that is denied. In the webhook form, the one
// that denies also warns, but files deny before it is called.
var warnsOnDenial = hybrid || !static

// warningOfDenial returns kubectl's line about the warning for an image with the tag latest that is denied.
func warningOfDenial(location, written string) string {
	if !warnsOnDenial {
		return ""
	}
	return warningPrefix + latestWarning(location, written)
}

// warningOfFiles returns kubectl's line about a warning of the files, with the end of the names of the policy and of
// the binding. It is empty on a cluster without files.
func warningOfFiles(policy, binding, text string) string {
	if !static {
		return ""
	}
	return "Warning: Validation failed for ValidatingAdmissionPolicy 'image-webhook" + policy + ".static.k8s.io' with binding 'image-webhook" +
		binding + ".static.k8s.io': " + text
}

// warningOfWorkload returns kubectl's lines about the warnings for a workload with the image nginx:latest.
func warningOfWorkload(location string) string {
	return warningOfFiles("-workloads", "-workloads", latestDenial(location, "nginx:latest", "")) +
		warningPrefix + location + ` has image "nginx:latest"; its pods will be denied` + "\n"
}

// denialInPages begins the line about a denial in the pages, which show the webhook form.
const denialInPages = "Error from server (Forbidden): " + deniedByWebhook

var (
	warningsOfFiles = regexp.MustCompile(`Warning: Validation failed for ValidatingAdmissionPolicy '\S+\.static\.k8s\.io'.*\n`)
	warnedAndDenied = regexp.MustCompile(regexp.QuoteMeta(warningPrefix) + `.*\n(` + regexp.QuoteMeta(denialInPages) + `)`)
)

// asInWebhookForm returns the output of kubectl run nginx as the pages show it: with the denial of the
// webhook, and without the warnings of files.
func asInWebhookForm(output string) string {
	output = warningsOfFiles.ReplaceAllString(output, "")
	return strings.ReplaceAll(output, denialPrefix("nginx"), denialInPages)
}

// asInThisForm returns the output that a page shows without the warnings that this form does not have.
func asInThisForm(shown string) string {
	if warnsOnDenial {
		return shown
	}
	return warnedAndDenied.ReplaceAllString(shown, "$1")
}

// formManifest returns the path of a numbered manifest of the form.
func formManifest(name string) string {
	if hybrid && slices.Contains([]string{"05-webhookconfigure.yaml", "06-patch-webhookconfigure.yaml"}, name) {
		name = path.Join("hybrid", name)
	}
	return manifest(name)
}

// imageWithoutServers returns the image that is stored while no server answers: the written one, or the mirrored one if
// files mirror.
func imageWithoutServers(written, mirrored string) string {
	if static {
		return mirrored
	}
	return written
}

// skipIfFilesDeny skips a spec about what the servers of the webhook form do with a pod that is denied: the files
// deny it before the API server calls them.
func skipIfFilesDeny() {
	if !warnsOnDenial {
		Skip("the files deny before the API server calls a server")
	}
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
// pods are then stored with the image that the user wrote, or that files mirror, and latest is still denied.
func waitUntilNoServerAnswers(ctx context.Context, namespace string) {
	GinkgoHelper()
	if !hybrid {
		Eventually(func() error { return dryRun(ctx, newPod(namespace, "nginx:1.25")) }).WithContext(ctx).
			Should(MatchError(ContainSubstring(`failed calling webhook "validating.image-webhook.dev"`)))
		return
	}
	if static {
		latest := []string{"run", "web", "--image=nginx:latest", "--dry-run=server", "-n", namespace}
		const mirrored = "docker.mirror.example/library/nginx:"
		Eventually(func() result { return kubectl(ctx, latest...) }).WithContext(ctx).
			Should(Equal(result{Stderr: denialPrefix("web") + latestDenial(webContainer, "nginx:latest", mirrored+"latest"), Exit: 1}), "no server warns")
		pod := newPod(namespace, "nginx:1.25")
		Expect(dryRun(ctx, pod)).To(Succeed())
		Expect(pod.Spec.Containers[0].Image).To(Equal(mirrored + "1.25"))
		return
	}
	Eventually(func() (string, error) {
		pod := newPod(namespace, "nginx:1.25")
		err := dryRun(ctx, pod)
		return pod.Spec.Containers[0].Image, err
	}).WithContext(ctx).Should(Equal("nginx:1.25"))
	Expect(dryRun(ctx, newPod(namespace, "nginx:latest"))).To(MatchError(ContainSubstring(denialBy())))
}
