package staticpolicy

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
)

// Validate returns an error if the API server refuses one of the objects in the files. It sends each object as
// a dry run, with a name that the API server accepts, and stores nothing.
func Validate(ctx context.Context, config *rest.Config, files []generatedfiles.File) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	for _, file := range files {
		for _, object := range objectsOf(file) {
			name := object.GetName()
			resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
			_, err := client.Resource(resource).Create(ctx, nameless(object), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return fmt.Errorf("the API server refuses %s %s: %w", object.GetKind(), name, err)
			}
		}
	}
	return nil
}

// objectsOf returns the objects in a file that Files returned. The configuration has none.
func objectsOf(file generatedfiles.File) (objects []*unstructured.Unstructured) {
	var list struct{ Items []map[string]any }
	_ = yaml.Unmarshal([]byte(file.Content), &list) // it is valid
	for _, item := range list.Items {
		objects = append(objects, &unstructured.Unstructured{Object: item})
	}
	return objects
}

// nameless returns an object for which the API server generates a name. A binding names a policy that can be in
// the API.
func nameless(object *unstructured.Unstructured) *unstructured.Unstructured {
	unstructured.RemoveNestedField(object.Object, "metadata", "name")
	object.SetGenerateName(celpolicy.Name + "-check-")
	if policy, ok, _ := unstructured.NestedString(object.Object, "spec", "policyName"); ok {
		_ = unstructured.SetNestedField(object.Object, strings.TrimSuffix(policy, Suffix), "spec", "policyName") // spec is a map
	}
	return object
}
