// Package gitops applies the webhook configurations of deploy/ with the component deploy/gitops like
// the GitOps tools that docs/gitops.md describes: by forced server-side apply. It does not run the
// tools.
package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Component is the directory of the component in the checkout.
const Component = "deploy/gitops"

// Tool is a GitOps tool.
type Tool struct {
	Name    string
	manager string // its field manager
	// prepare returns what the tool applies if an object exists, or nil for nothing. It may change
	// the manifest.
	prepare func(manifest, live *unstructured.Unstructured) *unstructured.Unstructured
}

// ArgoCD is Argo CD with ignoreDifferences on failurePolicy and the option RespectIgnoreDifferences,
// which applies the value that the object has:
// https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
var ArgoCD = Tool{"Argo CD", "argocd-controller", func(manifest, live *unstructured.Unstructured) *unstructured.Unstructured {
	if manifest.GetKind() == "ValidatingWebhookConfiguration" && manifest.GetName() == "image-webhook" {
		copyFailurePolicies(manifest, live)
	}
	return manifest
}}

// Flux is Flux, which does not update objects with an annotation of the component:
// https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
var Flux = Tool{"Flux", "kustomize-controller", func(manifest, _ *unstructured.Unstructured) *unstructured.Unstructured {
	if manifest.GetAnnotations()["kustomize.toolkit.fluxcd.io/ssa"] == "IfNotPresent" {
		return nil
	}
	return manifest
}}

// copyFailurePolicies sets the failure policies of live in the manifest, by the names of the
// webhooks.
func copyFailurePolicies(manifest, live *unstructured.Unstructured) {
	policies := map[any]any{}
	for _, hook := range webhooks(live) {
		policies[hook["name"]] = hook["failurePolicy"]
	}
	for _, hook := range webhooks(manifest) {
		if policy, ok := policies[hook["name"]]; ok {
			hook["failurePolicy"] = policy
		}
	}
}

// webhooks returns the webhooks of a configuration. Changes of them change the configuration.
func webhooks(configuration *unstructured.Unstructured) (found []map[string]any) {
	list, _ := configuration.Object["webhooks"].([]any)
	for _, item := range list {
		if hook, ok := item.(map[string]any); ok {
			found = append(found, hook)
		}
	}
	return found
}

// Sync applies the manifests once.
func (t Tool) Sync(ctx context.Context, client dynamic.Interface, manifests []*unstructured.Unstructured) error {
	for _, manifest := range manifests {
		if err := t.apply(ctx, client, manifest.DeepCopy()); err != nil {
			return fmt.Errorf("apply %s %s like %s: %w", manifest.GetKind(), manifest.GetName(), t.Name, err)
		}
	}
	return nil
}

func (t Tool) apply(ctx context.Context, client dynamic.Interface, manifest *unstructured.Unstructured) error {
	objects := client.Resource(schema.GroupVersionResource{
		Group: "admissionregistration.k8s.io", Version: "v1", Resource: strings.ToLower(manifest.GetKind()) + "s",
	})
	live, err := objects.Get(ctx, manifest.GetName(), metav1.GetOptions{})
	switch {
	case err == nil:
		manifest = t.prepare(manifest, live)
	case !apierrors.IsNotFound(err):
		return err
	}
	if manifest == nil {
		return nil
	}
	_, err = objects.Apply(ctx, manifest.GetName(), manifest, metav1.ApplyOptions{FieldManager: t.manager, Force: true})
	return err
}

// Render returns the webhook configurations of an overlay of deploy/ with the component, after other
// components. kubectl is the path of kubectl, and root the top of the checkout.
func Render(ctx context.Context, kubectl, root string, components ...string) ([]*unstructured.Unstructured, error) {
	dir, err := os.MkdirTemp("", "gitops-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := writeOverlay(dir, root, append(components, Component)); err != nil {
		return nil, err
	}
	rendered, err := subprocess.Command{Args: []string{kubectl, "kustomize", dir}}.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("render deploy/ with the component %s: %w", Component, err)
	}
	return selectConfigurations(rendered)
}

// writeOverlay writes an overlay with relative paths: kustomize accepts no absolute ones.
func writeOverlay(dir, root string, components []string) error {
	absolute, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	checkout, err := filepath.Rel(dir, absolute)
	if err != nil {
		return err
	}
	overlay := fmt.Sprintf("resources: [%q]\ncomponents:\n", filepath.Join(checkout, "deploy"))
	for _, component := range components {
		overlay += fmt.Sprintf("- %q\n", filepath.Join(checkout, component))
	}
	return os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600)
}

// selectConfigurations returns the webhook configurations of a manifest.
func selectConfigurations(manifest string) (selected []*unstructured.Unstructured, err error) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(object); {
		case errors.Is(err, io.EOF):
			return selected, nil
		case err != nil:
			return nil, fmt.Errorf("read the rendered manifests: %w", err)
		}
		if strings.HasSuffix(object.GetKind(), "WebhookConfiguration") {
			selected = append(selected, object)
		}
	}
}
