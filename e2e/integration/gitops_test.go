package integration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/gitops"
)

var gitOpsTools = []gitops.Tool{gitops.ArgoCD, gitops.Flux}

// gitOpsManifests returns the webhook configurations with the component deploy/gitops.
func gitOpsManifests(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	manifests, err := gitops.Render(t.Context(), kubectlProgram(t), root)
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func testGitOpsTools(t *testing.T, r *renewal) {
	manifests := gitOpsManifests(t)
	for _, tool := range gitOpsTools {
		t.Run(tool.Name, func(t *testing.T) {
			var syncs int
			pods := r.underLoad(t, func(ctx context.Context) error {
				syncing, stop := context.WithCancel(ctx)
				result := make(chan error, 1)
				go func() {
					result <- ignoreEnd(wait.PollUntilContextCancel(syncing, 50*time.Millisecond, true, func(context.Context) (bool, error) {
						syncs++
						return false, tool.Sync(t.Context(), r.objects, manifests)
					}))
				}()
				var err error
				for range 3 {
					err = errors.Join(err, r.requestCertificate(ctx), r.renew(ctx))
				}
				stop()
				return errors.Join(err, <-result)
			})
			t.Logf("%d pods, %d syncs", pods, syncs)
			if diff := cmp.Diff(oneCAEach, r.webhookCAs(t)); diff != "" {
				t.Errorf("webhooks (-want +got):\n%s", diff)
			}
		})
	}
}

func testGitOpsToolsCreateOnIgnore(t *testing.T, server *testServer) {
	manifests := gitOpsManifests(t)
	for _, tool := range gitOpsTools {
		for range 2 { // the second sync must not change anything either
			if err := tool.Sync(t.Context(), server.objects, manifests); err != nil {
				t.Fatal(err)
			}
			validating, mutating := server.configurations(t)
			for _, c := range validating {
				for _, w := range c.Webhooks {
					if *w.FailurePolicy != "Ignore" {
						t.Errorf("%s: %s is on %s before certgen has run", tool.Name, w.Name, *w.FailurePolicy)
					}
				}
			}
			if len(validating) != 2 || len(mutating) != 1 {
				t.Errorf("%s: %d validating and %d mutating configurations", tool.Name, len(validating), len(mutating))
			}
		}
	}
}

// testDrift applies without the settings for GitOps.
func testDrift(t *testing.T, r *renewal) {
	for _, manifest := range gitOpsManifests(t) {
		if manifest.GetKind() != "ValidatingWebhookConfiguration" {
			continue
		}
		_, err := r.objects.Resource(validatingConfigurations).
			Apply(t.Context(), manifest.GetName(), manifest, metav1.ApplyOptions{FieldManager: "some-tool", Force: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := r.webhookCAs(t)["validating.image-webhook.dev"]; got != "1 CA, Ignore" {
		t.Fatalf("after the sync: %s", got)
	}
	output, err := r.certgen(t.Context(), "renew", append([]string{"renew"}, createArgs...)...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(oneCAEach, r.webhookCAs(t)); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if want := "ValidatingWebhookConfiguration image-webhook: failurePolicy is not Fail any more\n"; !strings.Contains(output, want) {
		t.Errorf("the log does not report the drift:\n%s", output)
	}
}

var validatingConfigurations = admissionregistrationv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations")
