package admissioncost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/staticfiles"
)

// newStatic returns a cluster with the static files of the manifests.
func newStatic(t *testing.T) *cluster {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if got := findStatic(kubeconfig); got != "" {
		t.Errorf("found the static files %s before they were written", got)
	}
	if err := staticfiles.Write(staticfiles.Directory(kubeconfig), "/on/the/node"); err != nil {
		t.Fatal(err)
	}
	return &cluster{static: findStatic(kubeconfig)}
}

// tree returns the contents of the files below a directory.
func tree(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(directory, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, directory+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStaticFilesOfTheInstallationStay(t *testing.T) {
	c := newStatic(t)
	before := tree(t, c.static)
	for _, namespace := range []string{"loadtest-killed", "loadtest-new"} {
		if err := registerStatic(t.Context(), c, namespace); err != nil {
			t.Fatal(err)
		}
	}
	with := tree(t, c.static)
	for path := range staticKinds {
		if content := with[path]; !strings.Contains(content, "loadtest-new") || strings.Contains(content, "loadtest-killed") {
			t.Errorf("%s does not have exactly the policies of the last run:\n%s", path, content)
		}
		delete(with, path)
	}
	if diff := cmp.Diff(before, with); diff != "" {
		t.Errorf("other files (-before +during):\n%s", diff)
	}
	for range 2 { // a second clean-up finds nothing
		if err := removeFiles(c.static); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, tree(t, c.static)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

func TestCleanUpWithoutStaticFilesDoesNothing(t *testing.T) {
	if err := removeFiles(""); err != nil {
		t.Error(err)
	}
}

func TestStaticPoliciesApplyOnlyToTheirNamespace(t *testing.T) {
	c := newStatic(t)
	if err := registerStatic(t.Context(), c, "loadtest-x"); err != nil {
		t.Fatal(err)
	}
	files := tree(t, c.static)
	const name = "loadtest-x.static.k8s.io"
	for path, prefix := range staticKinds {
		var list struct{ Items []unstructured.Unstructured }
		if err := yaml.Unmarshal([]byte(files[path]), &list); err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, object := range list.Items {
			kinds = append(kinds, object.GetKind())
			if object.GetName() != name {
				t.Errorf("%s has the name %q, want %q", object.GetKind(), object.GetName(), name)
			}
			if object.GetKind() == prefix {
				continue
			}
			selector, _, _ := unstructured.NestedMap(object.Object, "spec", "matchResources", "namespaceSelector")
			if diff := cmp.Diff(map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "loadtest-x"}}, selector); diff != "" {
				t.Errorf("namespaces of %s (-want +got):\n%s", object.GetKind(), diff)
			}
			if policy, _, _ := unstructured.NestedString(object.Object, "spec", "policyName"); policy != name {
				t.Errorf("%s is for the policy %q, want %q", object.GetKind(), policy, name)
			}
		}
		if diff := cmp.Diff([]string{prefix, prefix + "Binding"}, kinds); diff != "" {
			t.Errorf("kinds in %s (-want +got):\n%s", path, diff)
		}
	}
}
