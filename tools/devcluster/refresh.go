package devcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
)

// installedAnnotation is set on the webhook's namespace when the installation is complete.
// Its value is the hash of the manifests.
const installedAnnotation = "dev.image-webhook.dev/installed"

// Refresh is like Install, but applies only the Deployment if the other manifests are
// installed and unchanged. This saves the time of both Jobs.
func (c *Cluster) Refresh(ctx context.Context, contentRef string, flags ...string) error {
	hybrid, err := c.Hybrid()
	if err != nil {
		return err
	}
	if !c.isInstalled(ctx, hybrid) {
		return c.Install(ctx, contentRef, flags...)
	}
	if err := c.runSteps(ctx, ".", []deploy.Step{rolloutStep()}, contentRef, flags); err != nil {
		return err
	}
	return c.waitServing(ctx)
}

// isInstalled reports whether all manifests of a form except the Deployment's are installed and
// unchanged. It returns false if it cannot read the cluster.
func (c *Cluster) isInstalled(ctx context.Context, hybrid bool) bool {
	client, err := c.Client()
	if err != nil {
		return false
	}
	namespace, err := client.CoreV1().Namespaces().Get(ctx, "image-webhook", metav1.GetOptions{})
	if err != nil {
		return false
	}
	if _, err := client.CoreV1().Secrets("image-webhook").Get(ctx, "webhook-tls", metav1.GetOptions{}); err != nil {
		return false
	}
	admission := client.AdmissionregistrationV1()
	return hasOnlyForm(ctx, hybrid, admission) && isComplete(namespace.Annotations[installedAnnotation], hybrid, registrations(ctx, admission))
}

// isComplete reports whether annotation is the hash of the manifests of a form and all registrations are
// complete.
func isComplete(annotation string, hybrid bool, found []registration) bool {
	incomplete := slices.ContainsFunc(found, func(r registration) bool { return !r.complete() })
	return annotation == manifestsHash(hybrid) && len(found) > 0 && !incomplete
}

// markInstalled sets the annotation that Refresh reads.
func (c *Cluster) markInstalled(ctx context.Context, hybrid bool) error {
	return c.Kubectl("annotate", "namespace", "image-webhook", "--overwrite", installedAnnotation+"="+manifestsHash(hybrid)).Run(ctx)
}

// manifestsHash returns the hash of all manifests of a form except the Deployment's, which Refresh
// always applies.
func manifestsHash(hybrid bool) string {
	hash := sha256.New()
	for _, step := range deploy.FormSteps(hybrid) {
		if !waitsForRollout(step) {
			hash.Write([]byte(step.Content))
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}
