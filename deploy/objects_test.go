package deploy_test

import (
	"io"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// object is one YAML document of the manifests.
type object struct {
	file  string
	kind  string
	typed runtime.Object
	metav1.Object
}

// key identifies an object, such as "Secret image-webhook/webhook-tls".
func (o object) key() string { return key(o.kind, o.GetNamespace(), o.GetName()) }

func key(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

func (o object) String() string { return o.file + ": " + o.kind + " " + o.GetName() }

// load decodes all objects in the order of installation. It fails the test on a field that
// the API type does not have.
func load(t *testing.T) []object {
	t.Helper()
	var objects []object
	for _, file := range deploy.Files() {
		objects = append(objects, loadFile(t, file)...)
	}
	return objects
}

func loadFile(t *testing.T, file deploy.File) (objects []object) {
	t.Helper()
	documents, err := deploy.Documents(file.Content)
	if err != nil {
		t.Fatalf("%s: %v", file.Name, err)
	}
	for _, document := range documents {
		objects = append(objects, decode(t, file.Name, document))
	}
	return objects
}

func decode(t *testing.T, file string, document []byte) object {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	typed, err := scheme.Scheme.New(schema.FromAPIVersionAndKind(meta.APIVersion, meta.Kind))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := yaml.UnmarshalStrict(document, typed); err != nil {
		t.Fatalf("%s: %s: %v", file, meta.Kind, err)
	}
	withMetadata, ok := typed.(metav1.Object)
	if !ok {
		t.Fatalf("%s: %s has no metadata", file, meta.Kind)
	}
	return object{file, meta.Kind, typed, withMetadata}
}

// objectsOfType returns the objects of type T.
func objectsOfType[T runtime.Object](objects []object) (found []T) {
	for _, o := range objects {
		if typed, ok := o.typed.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// objectOfType returns the only object of type T.
func objectOfType[T runtime.Object](t *testing.T, objects []object) T {
	t.Helper()
	found := objectsOfType[T](objects)
	if len(found) != 1 {
		t.Fatalf("%d objects in %T, want 1", len(found), found)
	}
	return found[0]
}

// podTemplate returns the pod template of a workload.
func (o object) podTemplate() (template corev1.PodTemplateSpec, ok bool) {
	switch typed := o.typed.(type) {
	case *appsv1.Deployment:
		return typed.Spec.Template, true
	case *batchv1.Job:
		return typed.Spec.Template, true
	case *batchv1.CronJob:
		return typed.Spec.JobTemplate.Spec.Template, true
	}
	return template, false
}

func containers(template corev1.PodTemplateSpec) []corev1.Container {
	return append(append([]corev1.Container{}, template.Spec.InitContainers...), template.Spec.Containers...)
}

// commandsOf returns the certgen commands of the containers of a Job or a CronJob, parsed by
// certgen; none for another object.
func commandsOf(t *testing.T, o object) (parsed []certgen.Command) {
	t.Helper()
	template, ok := o.podTemplate()
	if !ok || o.kind == "Deployment" {
		return nil
	}
	for _, c := range containers(template) {
		if len(c.Command) > 0 {
			t.Errorf("%s, container %s: command is set: it must run the entrypoint of the image", o, c.Name)
		}
		command, err := certgen.Parse(c.Args, io.Discard)
		if err != nil || command == nil {
			t.Fatalf("%s, container %s: %v", o, c.Name, err)
		}
		parsed = append(parsed, command)
	}
	return parsed
}

// argumentsOf returns the certgen commands of type T of all Jobs and CronJobs.
func argumentsOf[T certgen.Command](t *testing.T, objects []object) (found []T) {
	t.Helper()
	for _, o := range objects {
		for _, command := range commandsOf(t, o) {
			if typed, ok := command.(T); ok {
				found = append(found, typed)
			}
		}
	}
	return found
}
