package integration

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// gitOpsTool applies the webhook configurations of deploy/gitops like a GitOps tool: by forced
// server-side apply.
type gitOpsTool struct {
	manager string
	// prepare returns what the tool applies, or nil for nothing. live is nil if the object does not
	// exist.
	prepare func(manifest, live *unstructured.Unstructured) *unstructured.Unstructured
}

var gitOpsTools = map[string]gitOpsTool{
	// RespectIgnoreDifferences: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
	"Argo CD with ignoreDifferences on failurePolicy": {"argocd-controller", func(manifest, live *unstructured.Unstructured) *unstructured.Unstructured {
		if live != nil && manifest.GetKind() == "ValidatingWebhookConfiguration" && manifest.GetName() == "image-webhook" {
			copyFailurePolicies(manifest, live)
		}
		return manifest
	}},
	// https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
	"Flux with the annotation IfNotPresent": {"kustomize-controller", func(manifest, live *unstructured.Unstructured) *unstructured.Unstructured {
		if live != nil && manifest.GetAnnotations()["kustomize.toolkit.fluxcd.io/ssa"] == "IfNotPresent" {
			return nil
		}
		return manifest
	}},
}

func copyFailurePolicies(manifest, live *unstructured.Unstructured) {
	target, _, _ := unstructured.NestedSlice(manifest.Object, "webhooks")
	source, _, _ := unstructured.NestedSlice(live.Object, "webhooks")
	for i := range target {
		target[i].(map[string]any)["failurePolicy"] = source[i].(map[string]any)["failurePolicy"]
	}
	_ = unstructured.SetNestedSlice(manifest.Object, target, "webhooks")
}

// gitOpsManifests returns the webhook configurations with the component deploy/gitops.
func gitOpsManifests(t *testing.T) (manifests []*unstructured.Unstructured) {
	t.Helper()
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err == nil {
		err = programs.Build(t.Context(), reporter(), "kubectl")
	}
	dir := t.TempDir()
	checkout, failed := filepath.Abs(root)
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	if checkout, err = filepath.Rel(dir, checkout); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"), []byte("resources: ["+checkout+"/deploy]\ncomponents: ["+checkout+"/deploy/gitops]\n"))
	built, err := subprocess.Command{Args: []string{programs.Path("kubectl"), "kustomize", dir}}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(built), 4096)
	for {
		object := &unstructured.Unstructured{}
		if decoder.Decode(object) != nil {
			return manifests
		}
		if strings.HasSuffix(object.GetKind(), "WebhookConfiguration") {
			manifests = append(manifests, object)
		}
	}
}

// sync applies the manifests once.
func (tool gitOpsTool) sync(ctx context.Context, server *testServer, manifests []*unstructured.Unstructured) error {
	for _, manifest := range manifests {
		resource := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: strings.ToLower(manifest.GetKind()) + "s"}
		client := server.objects.Resource(resource)
		live, err := client.Get(ctx, manifest.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			live = nil
		} else if err != nil {
			return err
		}
		if wanted := tool.prepare(manifest.DeepCopy(), live); wanted != nil {
			if _, err := client.Apply(ctx, wanted.GetName(), wanted, metav1.ApplyOptions{FieldManager: tool.manager, Force: true}); err != nil {
				return fmt.Errorf("apply %s %s: %w", wanted.GetKind(), wanted.GetName(), err)
			}
		}
	}
	return nil
}

func testGitOpsTools(t *testing.T, r *renewal) {
	manifests := gitOpsManifests(t)
	for name, tool := range gitOpsTools {
		t.Run(name, func(t *testing.T) {
			var syncs int
			pods := r.underLoad(t, func(ctx context.Context) error {
				syncing, stop := context.WithCancel(ctx)
				result := make(chan error, 1)
				go func() {
					result <- ignoreEnd(wait.PollUntilContextCancel(syncing, 50*time.Millisecond, true, func(context.Context) (bool, error) {
						syncs++
						return false, tool.sync(t.Context(), r.testServer, manifests)
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
	for name, tool := range gitOpsTools {
		for range 2 { // the second sync must not change anything either
			if err := tool.sync(t.Context(), server, manifests); err != nil {
				t.Fatal(err)
			}
			validating, mutating := server.configurations(t)
			for _, c := range validating {
				for _, w := range c.Webhooks {
					if *w.FailurePolicy != "Ignore" {
						t.Errorf("%s: %s is on %s before certgen has run", name, w.Name, *w.FailurePolicy)
					}
				}
			}
			if len(validating) != 2 || len(mutating) != 1 {
				t.Errorf("%s: %d validating and %d mutating configurations", name, len(validating), len(mutating))
			}
		}
	}
}

// testDrift applies without the settings for GitOps.
func testDrift(t *testing.T, r *renewal) {
	plain := gitOpsTool{"some-tool", func(manifest, _ *unstructured.Unstructured) *unstructured.Unstructured { return manifest }}
	if err := plain.sync(t.Context(), r.testServer, gitOpsManifests(t)); err != nil {
		t.Fatal(err)
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
