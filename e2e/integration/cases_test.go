package integration

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// imageUse is a request that sets an image in a field, or that updates an object with an
// image in that field. Manifests and patches contain the placeholders NAME, for the object's
// name, and IMAGE, for the image of the test case.
type imageUse struct {
	name  string // the operation
	field string // the field of the image, as in a denial

	resource    schema.GroupVersionResource
	manifest    string
	existing    string // the image of an object created before the webhook; if empty, the request creates the object
	setupPatch  string // a patch of the ephemeral containers of that object; may be empty
	patch       string // the request: a JSON patch of that object; empty if existing is empty
	subresource string // the patched subresource; may be empty

	template   bool     // the image is in a pod template
	unchanged  bool     // the request does not change the image
	unmirrored bool     // the pod has a label because of which its images are not mirrored
	secrets    []string // the image pull secrets in the manifest
}

// caseImage is the placeholder for the image of the test case.
const caseImage = "IMAGE"

// These are the entries of lists with the image. The pull policy is not the default one.
const (
	containerEntry = `{"name":"it","image":"IMAGE","imagePullPolicy":"Never"}`
	volumeEntry    = `{"name":"it","image":{"reference":"IMAGE","pullPolicy":"Never"}}`
)

const (
	allowedImage       = "quay.io/team/other:1"
	labelPatch         = `[{"op":"add","path":"/metadata/labels/tier","value":"front"}]`
	addEphemeral       = `[{"op":"add","path":"/spec/ephemeralContainers","value":[` + containerEntry + `]}]`
	addSecondEphemeral = `[{"op":"add","path":"/spec/ephemeralContainers/-","value":{"name":"another","image":"` + allowedImage + `"}}]`
)

// podWith returns a pod with the fields of a spec.
func podWith(fields string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{"a":"b"}},"spec":{` + fields + `}}`
}

var (
	pods             = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	inContainers     = podWith(`"containers":[` + containerEntry + `]`)
	inInitContainers = podWith(`"initContainers":[` + containerEntry + `],"containers":[{"name":"main","image":"` + allowedImage + `"}]`)
	inVolumes        = podWith(`"volumes":[` + volumeEntry + `],"containers":[{"name":"main","image":"` + allowedImage + `"}]`)
	inNone           = podWith(`"containers":[{"name":"main","image":"` + allowedImage + `"}]`)
)

const (
	container          = "spec.containers[0].image"
	initContainer      = "spec.initContainers[0].image"
	ephemeralContainer = "spec.ephemeralContainers[0].image"
	volume             = "spec.volumes[0].image.reference"
)

// podUses are all operations on a pod's images that the API server allows.
var podUses = []imageUse{
	{name: "CREATE", field: container, manifest: inContainers},
	{name: "CREATE", field: initContainer, manifest: inInitContainers},
	{name: "CREATE", field: volume, manifest: inVolumes},
	createWithSecrets("another Secret", "own"),
	createWithSecrets("one of the Secrets", "second", "own"),
	createWithSecrets("all Secrets", "second", "mirror"),
	{
		name: "CREATE with the label of CloudNativePG", field: container, unmirrored: true,
		manifest: strings.Replace(inContainers, `"labels":{`, `"labels":{"cnpg.io/podRole":"instance",`, 1),
	},
	{name: "UPDATE changes", field: container, manifest: inContainers, existing: allowedImage, patch: replaceList("spec/containers")},
	{name: "UPDATE changes", field: initContainer, manifest: inInitContainers, existing: allowedImage, patch: replaceList("spec/initContainers")},
	{name: "UPDATE adds", field: ephemeralContainer, manifest: inNone, existing: allowedImage, patch: addEphemeral, subresource: "ephemeralcontainers"},
	{name: "UPDATE keeps", field: container, manifest: inContainers, existing: caseImage, patch: labelPatch, unchanged: true},
	{name: "UPDATE keeps", field: initContainer, manifest: inInitContainers, existing: caseImage, patch: labelPatch, unchanged: true},
	{name: "UPDATE keeps", field: volume, manifest: inVolumes, existing: caseImage, patch: labelPatch, unchanged: true},
	{name: "UPDATE keeps", field: ephemeralContainer, manifest: inNone, existing: caseImage, setupPatch: addEphemeral, patch: labelPatch, unchanged: true},
	{name: "UPDATE adds a second", field: ephemeralContainer, manifest: inNone, existing: caseImage, setupPatch: addEphemeral, patch: addSecondEphemeral, subresource: "ephemeralcontainers", unchanged: true},
}

// createWithSecrets returns the creation of a pod that has image pull secrets.
func createWithSecrets(title string, names ...string) imageUse {
	list := `"imagePullSecrets":[{"name":"` + strings.Join(names, `"},{"name":"`) + `"}],`
	return imageUse{
		name: "CREATE with " + title, field: container, secrets: names,
		manifest: strings.Replace(inContainers, `"spec":{`, `"spec":{`+list, 1),
	}
}

// replaceList returns a patch that replaces the list of containers at a path. Their names stay the same.
func replaceList(path string) string {
	return `[{"op":"replace","path":"/` + path + `","value":[` + containerEntry + `]}]`
}

const (
	template    = `{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[` + containerEntry + `]}}`
	jobTemplate = `{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[` + containerEntry + `]}}`
)

// workload is a kind with a pod template.
type workload struct {
	group, version, resource, kind string
	field                          string // of the image
	content                        string // the fields of a manifest that follow the metadata
	immutable                      bool   // the pod template cannot be changed
}

var workloads = []workload{
	{"apps", "v1", "deployments", "Deployment", "spec.template." + container, `"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + template + `}`, false},
	{"apps", "v1", "statefulsets", "StatefulSet", "spec.template." + container, `"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + template + `}`, false},
	{"apps", "v1", "daemonsets", "DaemonSet", "spec.template." + container, `"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + template + `}`, false},
	{"apps", "v1", "replicasets", "ReplicaSet", "spec.template." + container, `"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + template + `}`, false},
	{"batch", "v1", "jobs", "Job", "spec.template." + container, `"spec":{"template":` + jobTemplate + `}`, true},
	{"batch", "v1", "cronjobs", "CronJob", "spec.jobTemplate.spec.template." + container, `"spec":{"schedule":"0 0 * * *","jobTemplate":{"spec":{"template":` + jobTemplate + `}}}`, false},
	{"", "v1", "replicationcontrollers", "ReplicationController", "spec.template." + container, `"spec":{"selector":{"a":"b"},"template":` + template + `}`, false},
	{"", "v1", "podtemplates", "PodTemplate", "template." + container, `"template":` + template, false},
}

// uses returns the operations on the image in a pod template.
func (w workload) uses() []imageUse {
	create := imageUse{
		name: "CREATE", field: w.field, template: true,
		resource: schema.GroupVersionResource{Group: w.group, Version: w.version, Resource: w.resource},
		manifest: `{"apiVersion":"` + strings.TrimPrefix(w.group+"/"+w.version, "/") + `","kind":"` + w.kind + `","metadata":{"name":"NAME","labels":{"a":"b"}},` + w.content + `}`,
	}
	change, keep := create, create
	change.name, change.existing, change.patch = "UPDATE changes", allowedImage, replaceList(strings.ReplaceAll(create.list(), ".", "/"))
	keep.name, keep.existing, keep.patch, keep.unchanged = "UPDATE keeps", caseImage, labelPatch, true
	if w.immutable {
		return []imageUse{create, keep}
	}
	return []imageUse{create, change, keep}
}

// creates reports whether the request creates the object.
func (u imageUse) creates() bool { return u.existing == "" }

// pullPolicyField returns the field of the pull policy of the image.
func (u imageUse) pullPolicyField() string {
	if entry, ok := strings.CutSuffix(u.field, "reference"); ok {
		return entry + "pullPolicy"
	}
	return strings.TrimSuffix(u.field, "image") + "imagePullPolicy"
}

// secretsField returns the field of the image pull secrets of the pod or the template.
func (u imageUse) secretsField() string {
	return u.list()[:strings.LastIndex(u.list(), ".")] + ".imagePullSecrets"
}

// list returns the field of the list that has the image.
func (u imageUse) list() string {
	list, _, _ := strings.Cut(u.field, "[")
	return list
}

// testCase is one combination of the matrix.
type testCase struct {
	imageUse
	image   imageKind
	mode    mode
	request *matrixRequest
	want    expectation
}

// sharing returns how many kinds of images share one request, each in an entry of its own. A pod is
// denied as a whole, so its kinds share none. An answer has at most ten warnings about images.
func (u imageUse) sharing() int {
	switch {
	case u.unchanged:
		return len(imageKinds)
	case u.template:
		return 8
	}
	return 1
}

// cases returns all cases of the matrix.
func cases() (all []testCase) {
	var uses []imageUse
	for _, use := range podUses {
		use.resource = pods
		uses = append(uses, use)
	}
	for _, workload := range workloads {
		uses = append(uses, workload.uses()...)
	}
	for i, use := range uses {
		object := fmt.Sprintf("case-%d", i) // all requests are dry runs, so the cases of a mode can share it
		for _, m := range modes {
			for images := range slices.Chunk(imageKinds, use.sharing()) {
				request := &matrixRequest{imageUse: use, images: images, mode: m, object: object}
				for j, image := range images {
					c := testCase{use, image, m, request, m.expect(use, image)}
					c.field = use.list() + fmt.Sprintf("[%d]", j) + strings.TrimPrefix(use.field, use.list()+"[0]")
					all = append(all, c)
				}
			}
		}
	}
	return all
}

func (c testCase) title() string {
	return strings.Join([]string{c.resource.Resource, c.field, c.imageUse.name, c.image.name, c.mode.name}, "/")
}

// createObject creates an object from its manifest.
func createObject(ctx context.Context, resource dynamic.ResourceInterface, manifest []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(manifest); err != nil {
		return nil, err
	}
	return resource.Create(ctx, object, metav1.CreateOptions{})
}

// patchObject applies a JSON patch to an object, or to a subresource unless it is empty.
func patchObject(ctx context.Context, resource dynamic.ResourceInterface, name string, patch []byte, subresource string) (*unstructured.Unstructured, error) {
	var subresources []string
	if subresource != "" {
		subresources = append(subresources, subresource)
	}
	return resource.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{}, subresources...)
}

// pathKeys splits the path of a field into map keys and list indices.
func pathKeys(field string) []string {
	return strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(field), ".")
}

// textAt returns the string at a path of an object.
func textAt(t *testing.T, object any, path []string) string {
	t.Helper()
	for _, key := range path {
		switch node := object.(type) {
		case map[string]any:
			object = node[key]
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil || index >= len(node) {
				t.Fatalf("list %v has no element %q", node, key)
			}
			object = node[index]
		}
	}
	text, ok := object.(string)
	if !ok {
		t.Fatalf("field %s is %v, want a string", strings.Join(path, "."), object)
	}
	return text
}
