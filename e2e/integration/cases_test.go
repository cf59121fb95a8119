package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

	template  bool // the image is in a pod template
	unchanged bool // the request does not change the image
}

// caseImage is the placeholder for the image of the test case.
const caseImage = "IMAGE"

const (
	allowedImage       = "quay.io/team/other:1"
	labelPatch         = `[{"op":"add","path":"/metadata/labels/tier","value":"front"}]`
	addEphemeral       = `[{"op":"add","path":"/spec/ephemeralContainers","value":[{"name":"it","image":"IMAGE"}]}]`
	addSecondEphemeral = `[{"op":"add","path":"/spec/ephemeralContainers/-","value":{"name":"another","image":"` + allowedImage + `"}}]`
)

// podWith returns a pod with the fields of a spec.
func podWith(fields string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{"a":"b"}},"spec":{` + fields + `}}`
}

var (
	pods             = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	inContainers     = podWith(`"containers":[{"name":"it","image":"IMAGE"}]`)
	inInitContainers = podWith(`"initContainers":[{"name":"it","image":"IMAGE"}],"containers":[{"name":"main","image":"` + allowedImage + `"}]`)
	inVolumes        = podWith(`"volumes":[{"name":"it","image":{"reference":"IMAGE"}}],"containers":[{"name":"main","image":"` + allowedImage + `"}]`)
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
	{name: "UPDATE changes", field: container, manifest: inContainers, existing: allowedImage, patch: replace(container)},
	{name: "UPDATE changes", field: initContainer, manifest: inInitContainers, existing: allowedImage, patch: replace(initContainer)},
	{name: "UPDATE adds", field: ephemeralContainer, manifest: inNone, existing: allowedImage, patch: addEphemeral, subresource: "ephemeralcontainers"},
	{name: "UPDATE keeps", field: container, manifest: inContainers, existing: caseImage, patch: labelPatch, unchanged: true},
	{name: "UPDATE keeps", field: initContainer, manifest: inInitContainers, existing: caseImage, patch: labelPatch, unchanged: true},
	{name: "UPDATE keeps", field: volume, manifest: inVolumes, existing: caseImage, patch: labelPatch, unchanged: true},
	{name: "UPDATE keeps", field: ephemeralContainer, manifest: inNone, existing: caseImage, setupPatch: addEphemeral, patch: labelPatch, unchanged: true},
	{name: "UPDATE adds a second", field: ephemeralContainer, manifest: inNone, existing: caseImage, setupPatch: addEphemeral, patch: addSecondEphemeral, subresource: "ephemeralcontainers", unchanged: true},
}

// replace returns a patch that replaces the image in a field.
func replace(field string) string {
	return `[{"op":"replace","path":"/` + strings.Join(pathKeys(field), "/") + `","value":"IMAGE"}]`
}

const (
	template    = `{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"it","image":"IMAGE"}]}}`
	jobTemplate = `{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[{"name":"it","image":"IMAGE"}]}}`
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
	change.name, change.existing, change.patch = "UPDATE changes", allowedImage, replace(w.field)
	keep.name, keep.existing, keep.patch, keep.unchanged = "UPDATE keeps", caseImage, labelPatch, true
	if w.immutable {
		return []imageUse{create, keep}
	}
	return []imageUse{create, change, keep}
}

// testCase is one request of the matrix.
type testCase struct {
	imageUse
	number int
	image  imageKind
	mode   mode
	want   expectation
}

// cases returns all cases of the matrix.
var cases = sync.OnceValue(func() (all []testCase) {
	var uses []imageUse
	for _, use := range podUses {
		use.resource = pods
		uses = append(uses, use)
	}
	for _, workload := range workloads {
		uses = append(uses, workload.uses()...)
	}
	for _, use := range uses {
		for _, image := range imageKinds {
			for _, m := range modes {
				all = append(all, testCase{use, len(all), image, m, m.expect(use, image)})
			}
		}
	}
	return all
})

func (c testCase) title() string {
	return strings.Join([]string{c.resource.Resource, c.field, c.imageUse.name, c.image.name, c.mode.name}, "/")
}

// objectName returns the name of the case's object. It is unique in the matrix.
func (c testCase) objectName() string { return "case-" + strconv.Itoa(c.number) }

// fill replaces the placeholders in text by the object's name and an image.
func (c testCase) fill(text, image string) []byte {
	return []byte(strings.NewReplacer("NAME", c.objectName(), caseImage, image).Replace(text))
}

// prepare creates the object that exists before the webhook.
func (c testCase) prepare(ctx context.Context, server *testServer) error {
	if c.existing == "" {
		return nil
	}
	if _, err := c.create(ctx, server, strings.ReplaceAll(c.existing, caseImage, c.image.written)); err != nil {
		return fmt.Errorf("create the object of case %s: %w", c.title(), err)
	}
	if c.setupPatch == "" {
		return nil
	}
	_, err := c.apply(ctx, server, c.setupPatch, "ephemeralcontainers")
	return err
}

// send sends the case's request.
func (c testCase) send(ctx context.Context, server *testServer) (*unstructured.Unstructured, error) {
	if c.patch == "" {
		return c.create(ctx, server, c.image.written)
	}
	return c.apply(ctx, server, c.patch, c.subresource)
}

func (c testCase) create(ctx context.Context, server *testServer, image string) (*unstructured.Unstructured, error) {
	return createObject(ctx, server.objects.Resource(c.resource).Namespace(c.mode.namespace()), c.fill(c.manifest, image))
}

func (c testCase) apply(ctx context.Context, server *testServer, patch, subresource string) (*unstructured.Unstructured, error) {
	return patchObject(ctx, server.objects.Resource(c.resource).Namespace(c.mode.namespace()), c.objectName(), c.fill(patch, c.image.written), subresource)
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

// run sends the request and returns its outcome.
func (c testCase) run(t *testing.T, server *testServer) outcome {
	t.Helper()
	ctx, texts := collectWarnings(t.Context())
	object, err := c.send(ctx, server)
	result := outcome{warnings: *texts}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		result.message = status.Status().Message
		return result
	}
	if err != nil {
		t.Fatal(err)
	}
	result.stored = textAt(t, object.Object, pathKeys(c.field))
	return result
}

// pathKeys splits the path of a field into map keys and list indices.
func pathKeys(field string) []string {
	return strings.Split(strings.ReplaceAll(field, "[0]", ".0"), ".")
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
