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

// way is a way in which a request names an image, or leaves the one that is there.
// In what is sent, NAME and IMAGE stand for the object's name and the case's image.
type way struct {
	name  string // what is done
	field string // where the image is, as a denial writes it

	resource schema.GroupVersionResource
	manifest string // the object
	older    string // the image of an object that is older than the webhook; empty: there is none
	added    string // a patch of the older object's ephemeral containers; empty: none
	patch    string // the request, a JSON patch of the older object; empty: it creates
	sub      string // the subresource that is patched

	template bool // it is a template of pods
	keeps    bool // the image is not the request's
}

// theCase has the older object name the case's own image.
const theCase = "IMAGE"

const (
	other      = "quay.io/team/other:1"
	label      = `[{"op":"add","path":"/metadata/labels/tier","value":"front"}]`
	addIt      = `[{"op":"add","path":"/spec/ephemeralContainers","value":[{"name":"it","image":"IMAGE"}]}]`
	addAnother = `[{"op":"add","path":"/spec/ephemeralContainers/-","value":{"name":"another","image":"` + other + `"}}]`
)

// pod is a pod with lists.
func pod(lists string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{"a":"b"}},"spec":{` + lists + `}}`
}

var (
	pods             = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	inContainers     = pod(`"containers":[{"name":"it","image":"IMAGE"}]`)
	inInitContainers = pod(`"initContainers":[{"name":"it","image":"IMAGE"}],"containers":[{"name":"main","image":"` + other + `"}]`)
	inVolumes        = pod(`"volumes":[{"name":"it","image":{"reference":"IMAGE"}}],"containers":[{"name":"main","image":"` + other + `"}]`)
	inNone           = pod(`"containers":[{"name":"main","image":"` + other + `"}]`)
)

const (
	container = "spec.containers[0].image"
	initial   = "spec.initContainers[0].image"
	ephemeral = "spec.ephemeralContainers[0].image"
	volume    = "spec.volumes[0].image.reference"
)

// podWays are all that the API server lets a request do with a pod's images.
var podWays = []way{
	{name: "CREATE", field: container, manifest: inContainers},
	{name: "CREATE", field: initial, manifest: inInitContainers},
	{name: "CREATE", field: volume, manifest: inVolumes},
	{name: "UPDATE changes", field: container, manifest: inContainers, older: other, patch: replace(container)},
	{name: "UPDATE changes", field: initial, manifest: inInitContainers, older: other, patch: replace(initial)},
	{name: "UPDATE adds", field: ephemeral, manifest: inNone, older: other, patch: addIt, sub: "ephemeralcontainers"},
	{name: "UPDATE leaves", field: container, manifest: inContainers, older: theCase, patch: label, keeps: true},
	{name: "UPDATE leaves", field: initial, manifest: inInitContainers, older: theCase, patch: label, keeps: true},
	{name: "UPDATE leaves", field: volume, manifest: inVolumes, older: theCase, patch: label, keeps: true},
	{name: "UPDATE leaves", field: ephemeral, manifest: inNone, older: theCase, added: addIt, patch: label, keeps: true},
	{name: "UPDATE adds another", field: ephemeral, manifest: inNone, older: theCase, added: addIt, patch: addAnother, sub: "ephemeralcontainers", keeps: true},
}

// replace is a patch of an image.
func replace(field string) string {
	return `[{"op":"replace","path":"/` + strings.Join(keys(field), "/") + `","value":"IMAGE"}]`
}

const (
	template    = `{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"it","image":"IMAGE"}]}}`
	jobTemplate = `{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[{"name":"it","image":"IMAGE"}]}}`
)

// workload is a kind that makes pods.
type workload struct {
	group, version, resource, kind string
	field                          string
	rest                           string // of the object
	fixed                          bool   // its template cannot be changed
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

// ways are what a request does with a kind that makes pods.
func (w workload) ways() []way {
	made := way{
		name: "CREATE", field: w.field, template: true,
		resource: schema.GroupVersionResource{Group: w.group, Version: w.version, Resource: w.resource},
		manifest: `{"apiVersion":"` + strings.TrimPrefix(w.group+"/"+w.version, "/") + `","kind":"` + w.kind + `","metadata":{"name":"NAME","labels":{"a":"b"}},` + w.rest + `}`,
	}
	changed, left := made, made
	changed.name, changed.older, changed.patch = "UPDATE changes", other, replace(w.field)
	left.name, left.older, left.patch, left.keeps = "UPDATE leaves", theCase, label, true
	if w.fixed {
		return []way{made, left}
	}
	return []way{made, changed, left}
}

// testCase is one request of the matrix.
type testCase struct {
	way
	number int
	image  picture
	mode   mode
	want   wanted
}

// cases are the whole matrix.
var cases = sync.OnceValue(func() (all []testCase) {
	var ways []way
	for _, w := range podWays {
		w.resource = pods
		ways = append(ways, w)
	}
	for _, w := range workloads {
		ways = append(ways, w.ways()...)
	}
	for _, w := range ways {
		for _, image := range pictures {
			for _, m := range modes {
				all = append(all, testCase{w, len(all), image, m, m.expect(w, image)})
			}
		}
	}
	return all
})

func (c testCase) title() string {
	return strings.Join([]string{c.resource.Resource, c.field, c.way.name, c.image.name, c.mode.name}, "/")
}

// object is the name of the case's object: no other case has it.
func (c testCase) object() string { return "case-" + strconv.Itoa(c.number) }

// filled is text with the case's name, and with an image.
func (c testCase) filled(text, image string) []byte {
	return []byte(strings.NewReplacer("NAME", c.object(), "IMAGE", image).Replace(text))
}

// prepare makes the object that is older than the webhook.
func (c testCase) prepare(ctx context.Context, p *plane) error {
	if c.older == "" {
		return nil
	}
	if _, err := c.create(ctx, p, strings.ReplaceAll(c.older, theCase, c.image.written)); err != nil {
		return fmt.Errorf("%s: %w", c.title(), err)
	}
	if c.added == "" {
		return nil
	}
	_, err := c.apply(ctx, p, c.added, "ephemeralcontainers")
	return err
}

// request makes the case's request.
func (c testCase) request(ctx context.Context, p *plane) (*unstructured.Unstructured, error) {
	if c.patch == "" {
		return c.create(ctx, p, c.image.written)
	}
	return c.apply(ctx, p, c.patch, c.sub)
}

func (c testCase) create(ctx context.Context, p *plane, image string) (*unstructured.Unstructured, error) {
	return createIn(ctx, p.objects.Resource(c.resource).Namespace(c.mode.namespace()), c.filled(c.manifest, image))
}

func (c testCase) apply(ctx context.Context, p *plane, patch, sub string) (*unstructured.Unstructured, error) {
	return patchIn(ctx, p.objects.Resource(c.resource).Namespace(c.mode.namespace()), c.object(), c.filled(patch, c.image.written), sub)
}

// createIn creates an object from its manifest.
func createIn(ctx context.Context, resource dynamic.ResourceInterface, manifest []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(manifest); err != nil {
		return nil, err
	}
	return resource.Create(ctx, object, metav1.CreateOptions{})
}

// patchIn changes an object, or a subresource of it, by a JSON patch.
func patchIn(ctx context.Context, resource dynamic.ResourceInterface, name string, patch []byte, sub string) (*unstructured.Unstructured, error) {
	var subresources []string
	if sub != "" {
		subresources = append(subresources, sub)
	}
	return resource.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{}, subresources...)
}

// run makes the request and says what came of it.
func (c testCase) run(t *testing.T, p *plane) outcome {
	t.Helper()
	ctx, texts := collect(t.Context())
	object, err := c.request(ctx, p)
	result := outcome{warnings: *texts}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		result.message = status.Status().Message
		return result
	}
	if err != nil {
		t.Fatal(err)
	}
	result.stored = at(t, object.Object, keys(c.field))
	return result
}

// keys are the steps of a field's path.
func keys(field string) []string {
	return strings.Split(strings.ReplaceAll(field, "[0]", ".0"), ".")
}

// at returns the text at a path of an object.
func at(t *testing.T, object any, path []string) string {
	t.Helper()
	for _, key := range path {
		switch node := object.(type) {
		case map[string]any:
			object = node[key]
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil || index >= len(node) {
				t.Fatalf("no %s in %v", key, node)
			}
			object = node[index]
		}
	}
	text, ok := object.(string)
	if !ok {
		t.Fatalf("%s is %v", strings.Join(path, "."), object)
	}
	return text
}
