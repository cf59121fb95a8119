package tiltfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	starlarkjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// root is the folder of the Tiltfile, from that of the tests.
const root = "../../.."

// tilt stands in for the program: it has the built-ins that the Tiltfile calls, with
// the parameters that Tilt documents, and keeps what they were called with. Nothing is
// run.
type tilt struct {
	context string            // the current one
	options map[string]string // given after `tilt up --`
	missing []string          // files that are said not to be there

	called    []string // the built-ins that change or start anything, in order
	allowed   string   // the context
	images    map[string]image
	resources map[string]resource
	objects   []*unstructured.Unstructured
}

// image is what custom_build makes.
type image struct {
	Command string
	Deps    []string
	Ref     string // the file that the reference comes back in
	Remote  bool   // neither asked of a Docker daemon nor pushed
	Update  []string
}

// resource is a line of Tilt's page.
type resource struct {
	Command string   // of a local one
	Deps    []string // files
	After   []string // resources
	Objects []string // that it applies, as NAME:KIND
	Forward []string
	Label   string
	Manual  bool // runs when it is told to, and not at the start either
	Beside  bool // may run while other local ones do
}

// evaluate runs the Tiltfile.
func (t *tilt) evaluate() error {
	t.images, t.resources = map[string]image{}, map[string]resource{}
	_, err := starlark.ExecFileOptions(&syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true},
		&starlark.Thread{Name: "Tiltfile"}, filepath.Join(root, "Tiltfile"), nil, t.builtins())
	return err
}

func (t *tilt) builtins() starlark.StringDict {
	pathModule := starlark.StringDict{"exists": builtin("exists", t.exists), "basename": builtin("basename", basename)}
	return starlark.StringDict{
		"config": starlarkstruct.FromStringDict(starlark.String("config"), starlark.StringDict{
			"define_string": builtin("define_string", define), "define_bool": builtin("define_bool", define),
			"parse": builtin("parse", t.parse),
		}),
		"os": starlarkstruct.FromStringDict(starlark.String("os"), starlark.StringDict{
			"path": starlarkstruct.FromStringDict(starlark.String("path"), pathModule),
		}),
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
		"allow_k8s_contexts":  t.effect("allow_k8s_contexts", t.allow),
		"custom_build":        t.effect("custom_build", t.customBuild),
		"encode_yaml_stream":  builtin("encode_yaml_stream", encode),
		"fail":                builtin("fail", failed),
		"k8s_context":         builtin("k8s_context", t.current),
		"k8s_resource":        t.effect("k8s_resource", t.k8sResource),
		"k8s_yaml":            t.effect("k8s_yaml", t.k8sYAML),
		"link":                builtin("link", words("url", "name?")),
		"local":               t.effect("local", local),
		"local_resource":      t.effect("local_resource", t.localResource),
		"read_yaml_stream":    builtin("read_yaml_stream", read),
		"run":                 builtin("run", runStep),
		"sync":                builtin("sync", words("local_path", "remote_path")),
	}
}

// function is a built-in that is called with its arguments to be unpacked.
type function func(unpack func(pairs ...any) error) (starlark.Value, error)

func builtin(name string, f function) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return f(func(pairs ...any) error { return starlark.UnpackArgs(b.Name(), args, kwargs, pairs...) })
	})
}

// effect notes that the built-in was called.
func (t *tilt) effect(name string, f function) *starlark.Builtin {
	return builtin(name, func(unpack func(...any) error) (starlark.Value, error) {
		t.called = append(t.called, name)
		return f(unpack)
	})
}

func define(unpack func(...any) error) (starlark.Value, error) {
	var name, usage string
	return starlark.None, unpack("name", &name, "usage?", &usage)
}

func (t *tilt) parse(func(...any) error) (starlark.Value, error) {
	given := starlark.NewDict(len(t.options))
	for name, option := range t.options {
		var value starlark.Value = starlark.String(option)
		if option == "true" {
			value = starlark.True
		}
		if err := given.SetKey(starlark.String(name), value); err != nil {
			return nil, err
		}
	}
	return given, nil
}

func (t *tilt) current(func(...any) error) (starlark.Value, error) {
	return starlark.String(t.context), nil
}

func (t *tilt) allow(unpack func(...any) error) (starlark.Value, error) {
	return starlark.None, unpack("contexts", &t.allowed)
}

func failed(unpack func(...any) error) (starlark.Value, error) {
	var message string
	if err := unpack("message", &message); err != nil {
		return nil, err
	}
	return nil, errors.New(message)
}

func (t *tilt) exists(unpack func(...any) error) (starlark.Value, error) {
	var name string
	err := unpack("path", &name)
	return starlark.Bool(!slices.Contains(t.missing, name)), err
}

func basename(unpack func(...any) error) (starlark.Value, error) {
	var name string
	err := unpack("path", &name)
	return starlark.String(path.Base(name)), err
}

func local(unpack func(...any) error) (starlark.Value, error) {
	var command string
	var quiet bool
	err := unpack("command", &command, "quiet?", &quiet)
	return starlark.String("output of " + command + "\n"), err
}

// words is a built-in whose result says what it was called with.
func words(first, second string) function {
	return func(unpack func(...any) error) (starlark.Value, error) {
		var a, b string
		err := unpack(first, &a, second, &b)
		return starlark.String(a + " " + b), err
	}
}

func runStep(unpack func(...any) error) (starlark.Value, error) {
	var command *starlark.List
	if err := unpack("cmd", &command); err != nil {
		return nil, err
	}
	return starlark.String(strings.Join(texts(command), " ")), nil
}

// texts are the strings of a list, and none of no list.
func texts(list *starlark.List) (texts []string) {
	if list == nil {
		return nil
	}
	for value := range list.Elements() {
		text, ok := starlark.AsString(value)
		if !ok {
			text = value.String()
		}
		texts = append(texts, text)
	}
	return texts
}

func (t *tilt) customBuild(unpack func(...any) error) (starlark.Value, error) {
	var name string
	var made image
	var disablePush, skipsDocker bool
	var deps, ignore, update *starlark.List
	err := unpack("ref", &name, "command", &made.Command, "deps", &deps, "ignore?", &ignore, "disable_push?", &disablePush,
		"skips_local_docker?", &skipsDocker, "live_update?", &update, "outputs_image_ref_to?", &made.Ref)
	made.Deps, made.Update, made.Remote = texts(deps), texts(update), disablePush && skipsDocker
	t.images[name] = made
	return starlark.None, err
}

func (t *tilt) localResource(unpack func(...any) error) (starlark.Value, error) {
	var name, trigger string
	var made resource
	var deps, ignore, after, labels *starlark.List
	starts := true
	err := unpack("name", &name, "cmd", &made.Command, "deps?", &deps, "trigger_mode?", &trigger, "resource_deps?", &after,
		"ignore?", &ignore, "auto_init?", &starts, "allow_parallel?", &made.Beside, "labels?", &labels)
	made.Deps, made.After, made.Manual = texts(deps), texts(after), trigger == "manual" && !starts
	made.Label = strings.Join(texts(labels), " ")
	return starlark.None, errors.Join(err, t.add(name, made))
}

// k8sResource gives a resource to the workload of that name, or to objects alone.
func (t *tilt) k8sResource(unpack func(...any) error) (starlark.Value, error) {
	var name, newName string
	var made resource
	var forwards, after, objects, links, labels *starlark.List
	err := unpack("workload?", &name, "new_name?", &newName, "port_forwards?", &forwards, "resource_deps?", &after,
		"objects?", &objects, "links?", &links, "labels?", &labels)
	made.After, made.Objects, made.Forward = texts(after), texts(objects), texts(forwards)
	made.Label = strings.Join(texts(labels), " ")
	if name == "" {
		return starlark.None, errors.Join(err, t.add(newName, made))
	}
	workload := t.workload(name)
	if workload == nil {
		return nil, fmt.Errorf("k8s_resource: there is no workload %q", name)
	}
	made.Objects = append(made.Objects, t.belongTo(workload)...)
	return starlark.None, errors.Join(err, t.add(name, made))
}

func (t *tilt) add(name string, made resource) error {
	if _, twice := t.resources[name]; twice {
		return fmt.Errorf("there are two resources %q", name)
	}
	t.resources[name] = made
	return nil
}

func (t *tilt) workload(name string) *unstructured.Unstructured {
	for _, object := range t.objects {
		if kind := object.GetKind(); object.GetName() == name && (kind == "Deployment" || kind == "Job") {
			return object
		}
	}
	return nil
}

// belongTo are a workload and the Services that lead to its Pods.
func (t *tilt) belongTo(workload *unstructured.Unstructured) []string {
	names := []string{identity(workload)}
	labels, _, _ := unstructured.NestedStringMap(workload.Object, "spec", "template", "metadata", "labels")
	for _, object := range t.objects {
		selector, found, _ := unstructured.NestedStringMap(object.Object, "spec", "selector")
		if object.GetKind() == "Service" && found && within(selector, labels) {
			names = append(names, identity(object))
		}
	}
	return names
}

func within(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// identity is how k8s_resource names an object.
func identity(object *unstructured.Unstructured) string {
	return object.GetName() + ":" + strings.ToLower(object.GetKind())
}

// k8sYAML takes paths, or YAML itself.
func (t *tilt) k8sYAML(unpack func(...any) error) (starlark.Value, error) {
	var value starlark.Value
	if err := unpack("yaml", &value); err != nil {
		return nil, err
	}
	if content, ok := starlark.AsString(value); ok {
		return starlark.None, t.decode([]byte(content))
	}
	for _, name := range texts(value.(*starlark.List)) {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err := errors.Join(err, t.decode(content)); err != nil {
			return nil, err
		}
	}
	return starlark.None, nil
}

func (t *tilt) decode(content []byte) error {
	objects, err := decode(content)
	t.objects = append(t.objects, objects...)
	return err
}

func decode(content []byte) (objects []*unstructured.Unstructured, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		object := &unstructured.Unstructured{}
		if err := errors.Join(err, yaml.Unmarshal(document, &object.Object)); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
}

func read(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("path", &name); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil, err
	}
	objects, err := decode(content)
	if err != nil {
		return nil, err
	}
	var values []starlark.Value
	for _, object := range objects {
		value, err := toStarlark(object)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return starlark.NewList(values), nil
}

func toStarlark(object *unstructured.Unstructured) (starlark.Value, error) {
	content, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return starlark.Call(&starlark.Thread{}, starlarkjson.Module.Members["decode"], starlark.Tuple{starlark.String(content)}, nil)
}

// encode writes JSON, which is YAML.
func encode(unpack func(...any) error) (starlark.Value, error) {
	var objects *starlark.List
	if err := unpack("objects", &objects); err != nil {
		return nil, err
	}
	var documents []string
	for object := range objects.Elements() {
		document, err := starlark.Call(&starlark.Thread{}, starlarkjson.Module.Members["encode"], starlark.Tuple{object}, nil)
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(document.(starlark.String)))
	}
	return starlark.String(strings.Join(documents, "\n---\n")), nil
}
