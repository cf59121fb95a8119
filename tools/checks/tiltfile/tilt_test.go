package tiltfile

import (
	"encoding/json"
	"errors"
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
	"sigs.k8s.io/yaml"
)

// root is the directory of the Tiltfile.
const root = "../../.."

// tilt evaluates the Tiltfile instead of Tilt. It implements the built-ins that the Tiltfile
// calls, and records the calls.
type tilt struct {
	context string         // the current context of kubectl
	options map[string]any // the options after `tilt up --`
	missing string         // a file that does not exist

	calls   []call
	objects []*unstructured.Unstructured // passed to k8s_yaml
}

// call is a call of a built-in.
type call struct {
	builtin  string
	argument starlark.Value            // the first positional argument
	keywords map[string]starlark.Value // the keyword arguments
}

// list returns the strings in a keyword argument.
func (c call) list(name string) (list []string) {
	if values, ok := c.keywords[name].(*starlark.List); ok {
		for value := range values.Elements() {
			list = append(list, strings.Trim(value.String(), `"`))
		}
	}
	return list
}

// called returns the calls of a built-in.
func (t *tilt) called(builtin string) []call {
	return slices.DeleteFunc(slices.Clone(t.calls), func(c call) bool { return c.builtin != builtin })
}

func (t *tilt) evaluate() error {
	builtins := starlark.StringDict{"TRIGGER_MODE_MANUAL": starlark.String("manual")}
	for name, f := range map[string]function{
		"encode_yaml_stream": identity, "fail": fail, "k8s_context": t.currentContext, "k8s_yaml": t.apply, "local": identity, "read_yaml_stream": read,
		"allow_k8s_contexts": ignore, "custom_build": ignore, "k8s_resource": ignore, "link": ignore, "local_resource": ignore, "run": ignore, "sync": ignore,
	} {
		builtins[name] = t.builtin(name, f)
	}
	builtins["config"] = starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"define_string": t.builtin("define_string", ignore), "define_bool": t.builtin("define_bool", ignore), "parse": t.builtin("parse", t.parse),
	})
	builtins["os"] = starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"path": starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
			"exists": t.builtin("exists", t.exists), "basename": t.builtin("basename", basename),
		}),
	})
	_, err := starlark.ExecFileOptions(&syntax.FileOptions{TopLevelControl: true, GlobalReassign: true},
		&starlark.Thread{}, filepath.Join(root, "Tiltfile"), nil, builtins)
	return err
}

// function implements a built-in. It gets the first positional argument.
type function func(starlark.Value) (starlark.Value, error)

func (t *tilt) builtin(name string, f function) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		recorded := call{name, starlark.None, map[string]starlark.Value{}}
		if len(args) > 0 {
			recorded.argument = args[0]
		}
		for _, pair := range kwargs {
			recorded.keywords[text(pair[0])] = pair[1]
		}
		t.calls = append(t.calls, recorded)
		return f(recorded.argument)
	})
}

func text(value starlark.Value) string { return string(value.(starlark.String)) }

func ignore(starlark.Value) (starlark.Value, error)         { return starlark.None, nil }
func identity(value starlark.Value) (starlark.Value, error) { return value, nil }
func fail(message starlark.Value) (starlark.Value, error)   { return nil, errors.New(text(message)) }
func basename(name starlark.Value) (starlark.Value, error) {
	return starlark.String(path.Base(text(name))), nil
}

func (t *tilt) exists(name starlark.Value) (starlark.Value, error) {
	return starlark.Bool(text(name) != t.missing), nil
}

func (t *tilt) currentContext(starlark.Value) (starlark.Value, error) {
	return starlark.String(t.context), nil
}

func (t *tilt) parse(starlark.Value) (starlark.Value, error) {
	options, err := json.Marshal(t.options)
	return convert("decode", starlark.String(options), err)
}

// apply implements k8s_yaml for a list of objects or of file names.
func (t *tilt) apply(values starlark.Value) (starlark.Value, error) {
	for value := range values.(*starlark.List).Elements() {
		objects := starlark.Value(starlark.NewList([]starlark.Value{value}))
		var err error
		if _, isName := value.(starlark.String); isName {
			objects, err = read(value)
		}
		encoded, err := convert("encode", objects, err)
		if err != nil {
			return nil, err
		}
		var decoded []*unstructured.Unstructured
		if err := json.Unmarshal([]byte(text(encoded)), &decoded); err != nil {
			return nil, err
		}
		t.objects = append(t.objects, decoded...)
	}
	return starlark.None, nil
}

// read implements read_yaml_stream.
func read(name starlark.Value) (starlark.Value, error) {
	content, err := os.ReadFile(filepath.Join(root, text(name)))
	var objects []string
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		object, invalid := yaml.YAMLToJSON([]byte(document))
		objects, err = append(objects, string(object)), errors.Join(err, invalid)
	}
	return convert("decode", starlark.String("["+strings.Join(objects, ",")+"]"), err)
}

// convert calls json.decode or json.encode of Starlark, unless err is set.
func convert(function string, value starlark.Value, err error) (starlark.Value, error) {
	if err != nil {
		return nil, err
	}
	return starlark.Call(&starlark.Thread{}, starlarkjson.Module.Members[function], starlark.Tuple{value}, nil)
}
