package staticpolicy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

const (
	head    = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\n"
	mirrors = "mirrors: [{source: docker.io, mirror: mirror.example}]\n"
)

func newObjects(t *testing.T, text string) *celpolicy.Objects {
	t.Helper()
	rules, err := policy.Read("policy.yaml", []byte(head+text), policy.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := celpolicy.New(rules, celpolicy.Options{For: version.MajorMinor(1, 36)})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// newFiles returns the files for a policy file without its first two lines.
func newFiles(t *testing.T, text string, admins ...string) []generatedfiles.File {
	t.Helper()
	files, err := Files(newObjects(t, text), Options{Path: "/etc/x", Admins: admins, Version: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// objectsIn returns the objects in a file.
func objectsIn(t *testing.T, file generatedfiles.File) (objects []unstructured.Unstructured) {
	t.Helper()
	var list struct {
		APIVersion, Kind string
		Items            []map[string]any
	}
	if err := yaml.UnmarshalStrict([]byte(file.Content), &list); err != nil || list.APIVersion != "v1" || list.Kind != "List" {
		t.Fatalf("%s: %v, kind %s %s", file.Path, err, list.APIVersion, list.Kind)
	}
	for _, item := range list.Items {
		objects = append(objects, unstructured.Unstructured{Object: item})
	}
	return objects
}

// namesIn returns the kinds and the names of the objects in a file, and the policies of bindings.
func namesIn(t *testing.T, file generatedfiles.File) (names []string) {
	t.Helper()
	for _, object := range objectsIn(t, file) {
		name := object.GetKind() + " " + object.GetName()
		if policy, ok, _ := unstructured.NestedString(object.Object, "spec", "policyName"); ok {
			name += " of " + policy
		}
		names = append(names, strings.ReplaceAll(name, Suffix, "$"))
	}
	return names
}

func TestFilesHaveAllObjectsWithTheSuffix(t *testing.T) {
	files := newFiles(t, mirrors)
	want := map[string][]string{
		"mutating/image-webhook.yaml": {
			"MutatingAdmissionPolicy image-webhook$",
			"MutatingAdmissionPolicyBinding image-webhook$ of image-webhook$",
		},
		"validating/image-webhook.yaml": {
			"ValidatingAdmissionPolicy image-webhook-unknown-mode$",
			"ValidatingAdmissionPolicy image-webhook-workloads$",
			"ValidatingAdmissionPolicy image-webhook$",
			"ValidatingAdmissionPolicy image-webhook-guard$",
			"ValidatingAdmissionPolicyBinding image-webhook-unknown-mode$ of image-webhook-unknown-mode$",
			"ValidatingAdmissionPolicyBinding image-webhook-workloads$ of image-webhook-workloads$",
			"ValidatingAdmissionPolicyBinding image-webhook-workloads-warn$ of image-webhook-workloads$",
			"ValidatingAdmissionPolicyBinding image-webhook$ of image-webhook$",
			"ValidatingAdmissionPolicyBinding image-webhook-warn$ of image-webhook$",
			"ValidatingAdmissionPolicyBinding image-webhook-guard$ of image-webhook-guard$",
		},
		"mutating-webhooks/image-webhook.yaml":   nil,
		"validating-webhooks/image-webhook.yaml": nil,
	}
	got := map[string][]string{}
	for _, file := range files[:len(plugins)] {
		got[file.Path] = namesIn(t, file)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

func TestFilesMirrorBeforeTheyDeny(t *testing.T) {
	var paths []string
	for _, file := range newFiles(t, mirrors) {
		paths = append(paths, file.Path)
	}
	want := []string{
		"mutating/image-webhook.yaml", "mutating-webhooks/image-webhook.yaml", "validating-webhooks/image-webhook.yaml", "validating/image-webhook.yaml",
		"webhook-kubeconfig.yaml", "admission.yaml",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFileWithoutObjectsIsNotEmpty(t *testing.T) {
	if file := newFiles(t, "")[0]; len(objectsIn(t, file)) != 0 || !strings.HasSuffix(file.Content, "\n\napiVersion: v1\nitems: []\nkind: List\n") {
		t.Errorf("the file without mirrors is:\n%s", file.Content)
	}
}

func TestConfigurationNamesTheDirectoriesOnTheNode(t *testing.T) {
	files := newFiles(t, "")
	_, got, _ := strings.Cut(files[len(files)-1].Content, "\n\n")
	want := `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: MutatingAdmissionPolicyConfiguration
    staticManifestsDir: /etc/x/mutating
  name: MutatingAdmissionPolicy
- configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: /etc/x/webhook-kubeconfig.yaml
    staticManifestsDir: /etc/x/mutating-webhooks
  name: MutatingAdmissionWebhook
- configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: /etc/x/webhook-kubeconfig.yaml
    staticManifestsDir: /etc/x/validating-webhooks
  name: ValidatingAdmissionWebhook
- configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ValidatingAdmissionPolicyConfiguration
    staticManifestsDir: /etc/x/validating
  name: ValidatingAdmissionPolicy
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestFilesLeaveTheObjectsUnchanged(t *testing.T) {
	objects := newObjects(t, mirrors)
	if _, err := Files(objects, Options{Path: "/etc/x"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newObjects(t, mirrors), objects); diff != "" {
		t.Errorf("objects (-before +after):\n%s", diff)
	}
}

// put writes a file below a directory.
func put(t *testing.T, directory, name, content string) {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
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

func TestWriteReplacesTheFilesOfAnEarlierPolicy(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "a[b")
	files := newFiles(t, "")
	for _, written := range [][]generatedfiles.File{newFiles(t, mirrors), files, files} {
		if err := Write(directory, written); err != nil {
			t.Fatal(err)
		}
	}
	put(t, directory, "validating/README.md", "kept")
	want := map[string]string{"validating/README.md": "kept"}
	for _, file := range files {
		want[file.Path] = file.Content
	}
	if diff := cmp.Diff(want, tree(t, directory)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWriteChangesNothingIfItWouldLoseOrJoinAFile(t *testing.T) {
	const (
		notOurs    = ": the file exists, and it is not as this command wrote it: write into an empty directory and merge the files, or remove it"
		besides    = ", which this command did not write: remove it, or write into an empty directory and merge the files"
		elseLoaded = "write DIR/validating/image-webhook.yaml: the API server would also load DIR/validating/"
	)
	for _, tt := range []struct{ name, file, content, want string }{
		{"a configuration of a user", "admission.yaml", "kind: AdmissionConfiguration\n", "write DIR/admission.yaml" + notOurs},
		{"an edited file", "validating/image-webhook.yaml", newFiles(t, mirrors)[3].Content + "\n", "write DIR/validating/image-webhook.yaml" + notOurs},
		{"an empty file", "mutating/image-webhook.yaml", "", "write DIR/mutating/image-webhook.yaml" + notOurs},
		{"another policy", "validating/other.yml", "", elseLoaded + "other.yml" + besides},
		{"a policy in upper case", "validating/OTHER.JSON", "", elseLoaded + "OTHER.JSON" + besides},
		{"a hidden file", "validating/.image-webhook.yaml", "", elseLoaded + ".image-webhook.yaml" + besides},
		{"a file instead of a directory", "validating", "", "write into DIR/validating: it is not a directory: choose another directory"},
		{"a directory instead of a file", "validating/image-webhook.yaml/x", "", "read the existing file: read DIR/validating/image-webhook.yaml: is a directory: choose another directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			directory := t.TempDir()
			put(t, directory, tt.file, tt.content)
			err := Write(directory, newFiles(t, mirrors))
			if want := strings.ReplaceAll(tt.want, "DIR", directory); err == nil || err.Error() != want {
				t.Errorf("got the error %v, want %s", err, want)
			}
			if diff := cmp.Diff(map[string]string{tt.file: tt.content}, tree(t, directory)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}
