// Package policyfile checks the files about the policy file that are written from its Go type,
// webhook/policy.ImagePolicy, and the policies on the pages.
//
//	go -C tools/checks/policyfile test . -update
//
// writes the JSON Schema and the generated parts of docs/policy.md.
package policyfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"github.com/image-webhook/image-webhook/webhook/policy"
)

const (
	root       = "../../.."
	module     = "github.com/image-webhook/image-webhook/"
	schemaFile = root + "/webhook/policy/imagepolicy.schema.json"
	// schemaID is the address of the schema in the newest release.
	schemaID = "https://github.com/image-webhook/image-webhook/releases/latest/download/imagepolicy.schema.json"
	// draft7 is the newest version of JSON Schema that yaml-language-server supports.
	draft7 = "http://json-schema.org/draft-07/schema#"
)

var update = flag.Bool("update", false, "write the JSON Schema and the generated parts of docs/policy.md")

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// compare compares a generated text with a file. With -update, it writes the file.
func compare(t *testing.T, file, generated string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(generated), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(readFile(t, file), generated); diff != "" {
		t.Errorf("%s is outdated: run `go -C tools/checks/policyfile test . -update` (-file +generated):\n%s",
			strings.TrimPrefix(file, root+"/"), diff)
	}
}

func TestSchemaIsThatOfTheType(t *testing.T) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(newSchema(t)); err != nil {
		t.Fatal(err)
	}
	compare(t, schemaFile, text.String())
}

// newSchema returns the schema of the type. The fields and their descriptions are those of the
// type and its comments.
func newSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	comments := typeComments(t)
	reflector := jsonschema.Reflector{
		DoNotReference: true, // draft 7 ignores a description beside a reference
		ExpandedStruct: true,
		LookupComment:  comments.find,
	}
	schema := reflector.Reflect(policy.ImagePolicy{})
	schema.Version, schema.ID = draft7, schemaID
	for path, restrict := range restrictions {
		restrict(at(t, schema, path))
	}
	return schema
}

// comments are the comments of types and fields, each on one line, by package path and name.
type comments map[string]string

func typeComments(t *testing.T) comments {
	t.Helper()
	var reflector jsonschema.Reflector
	err := reflector.AddGoComments(module+"tools/checks/policyfile", root+"/webhook/policy", jsonschema.WithFullComment())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range reflector.CommentMap {
		reflector.CommentMap[name] = strings.Join(strings.Fields(text), " ")
	}
	return reflector.CommentMap
}

// find returns the comment of a type's field. The comment of a type is only for Go: it returns
// none for an empty field, except that the root has a description.
func (c comments) find(t reflect.Type, field string) string {
	name := t.PkgPath() + "." + t.Name()
	switch {
	case field != "":
		return c[name+"."+field]
	case t == reflect.TypeFor[policy.ImagePolicy]():
		return "The policy file of image-webhook. See https://github.com/image-webhook/image-webhook/blob/main/docs/policy.md"
	}
	return ""
}

// at returns the schema of a field, such as mirrors[].source.
func at(t *testing.T, schema *jsonschema.Schema, path string) *jsonschema.Schema {
	t.Helper()
	for key := range strings.SplitSeq(path, ".") {
		name, isItem := strings.CutSuffix(key, "[]")
		property, ok := schema.Properties.Get(name)
		if !ok {
			t.Fatalf("the type has no field %s", path)
		}
		if schema = property; isItem {
			schema = schema.Items
		}
	}
	return schema
}

// restrictions are what the schema says about a field in addition to its type. The program checks
// more, such as the syntax of patterns.
var restrictions = map[string]func(*jsonschema.Schema){
	"apiVersion":            func(s *jsonschema.Schema) { s.Const = policy.APIVersion },
	"kind":                  func(s *jsonschema.Schema) { s.Const = policy.Kind },
	"mirrors[].source":      notEmpty,
	"disallowedTags":        func(s *jsonschema.Schema) { s.UniqueItems, s.Default = true, []string{"latest"} },
	"disallowedTags[]":      func(s *jsonschema.Schema) { s.Pattern = `^[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127}$` },
	"exemptImages":          unique,
	"exemptImages[]":        notEmpty,
	"allowedRegistries":     func(s *jsonschema.Schema) { s.UniqueItems, s.MinItems = true, new(uint64(1)) },
	"allowedRegistries[]":   notEmpty,
	"requireDigest":         unique,
	"requireDigest[]":       notEmpty,
	"deniedImages[].image":  notEmpty,
	"deniedImages[].reason": func(s *jsonschema.Schema) { s.MinLength, s.MaxLength = new(uint64(1)), new(uint64(500)) },
	"imagePullPolicy":       func(s *jsonschema.Schema) { s.Enum = []any{"Always"} },
	"imagePullSecrets":      unique,
	"imagePullSecrets[]": func(s *jsonschema.Schema) {
		s.MaxLength, s.Pattern = new(uint64(253)), `^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	},
}

func unique(s *jsonschema.Schema)   { s.UniqueItems = true }
func notEmpty(s *jsonschema.Schema) { s.MinLength = new(uint64(1)) }
