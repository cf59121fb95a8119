package devcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
)

// finishedAnnotation is on the webhook's namespace: the hash of the manifests that were
// installed to the end.
const finishedAnnotation = "dev.image-webhook.dev/installed"

// Refresh is Install, but applies the Deployment alone where the rest is installed
// already, from these very manifests: it saves the time of both Jobs.
func (c *Cluster) Refresh(ctx context.Context, contentRef string, flags ...string) error {
	if !c.finished(ctx) {
		return c.Install(ctx, contentRef, flags...)
	}
	alone := slices.DeleteFunc(deploy.Files(), func(file deploy.File) bool { return file.Name != deployment })
	return c.applyAll(ctx, alone, contentRef, flags)
}

// finished says whether there is such an installation; what is not sure is none.
func (c *Cluster) finished(ctx context.Context) bool {
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
	return finishedOf(namespace.Annotations[finishedAnnotation], registrations(ctx, client.AdmissionregistrationV1()))
}

func finishedOf(annotation string, found []registration) bool {
	unfinished := slices.ContainsFunc(found, func(r registration) bool { return !r.finished() })
	return annotation == manifestsHash() && len(found) > 0 && !unfinished
}

// markFinished is for the next Refresh.
func (c *Cluster) markFinished(ctx context.Context) error {
	return c.Kubectl("annotate", "namespace", "image-webhook", "--overwrite", finishedAnnotation+"="+manifestsHash()).Run(ctx)
}

// manifestsHash is of all manifests but the Deployment's, which is always applied.
func manifestsHash() string {
	hash := sha256.New()
	for _, file := range deploy.Files() {
		if file.Name != deployment {
			hash.Write([]byte(file.Content))
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}
