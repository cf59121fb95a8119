package policyfile

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// compiled returns the stored schema, ready to validate. Compile also validates the schema against
// its meta-schema.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(readFile(t, schemaFile)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSchemaIsValid(t *testing.T) {
	schema := compiled(t)
	if schema.DraftVersion != 7 || schema.ID != schemaID {
		t.Errorf("the schema is %s of draft %d, want %s of draft 7", schema.ID, schema.DraftVersion, schemaID)
	}
	meta, err := jsonschema.NewCompiler().Compile(draft7)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(readFile(t, schemaFile)))
	if err != nil {
		t.Fatal(err)
	}
	if err := meta.Validate(document); err != nil {
		t.Error(err)
	}
}

// example is a policy on a page or in a manifest.
type example struct {
	source string // the file and the line
	text   string
}

// examples returns all policies of the pages and of the manifests.
func examples(t *testing.T) (found []example) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no pages %s: %v", pattern, err)
		}
		for _, file := range files {
			for _, block := range markdown.Parse([]byte(readFile(t, file))).Blocks {
				if block.Info == "yaml" {
					found = append(found, policiesIn(t, file, block.Text)...)
				}
			}
		}
	}
	manifests, err := filepath.Glob(root + "/deploy/*.yaml")
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range manifests {
		found = append(found, policiesIn(t, file, readFile(t, file))...)
	}
	return found
}

// policiesIn returns the policies among the documents of a YAML text, and those in their strings,
// such as in the data of a ConfigMap or in a patch of one.
func policiesIn(t *testing.T, file, text string) (found []example) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("%s: %v", strings.TrimPrefix(file, root+"/"), err)
		}
		if fields, ok := document.(map[string]any); ok && fields["kind"] == "ImagePolicy" {
			found = append(found, example{strings.TrimPrefix(file, root+"/"), text})
			continue
		}
		for _, s := range stringsIn(document) {
			if strings.Contains(s, "kind: ImagePolicy") {
				found = append(found, policiesIn(t, file, s)...)
			}
		}
	}
}

// stringsIn returns the strings of a value of YAML.
func stringsIn(value any) (found []string) {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		for _, item := range v {
			found = append(found, stringsIn(item)...)
		}
	case map[string]any:
		for _, item := range v {
			found = append(found, stringsIn(item)...)
		}
	}
	return found
}

// validate validates a policy against the schema.
func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

func TestExamplesAreValid(t *testing.T) {
	schema, found := compiled(t), examples(t)
	for _, e := range found {
		if err := validate(t, schema, e.text); err != nil {
			t.Errorf("%s: %v\n%s", e.source, err, e.text)
		}
	}
	onPage := func(e example) bool { return e.source == strings.TrimPrefix(page, root+"/") }
	if !slices.ContainsFunc(found, onPage) {
		t.Errorf("found no policy in %s: the check is broken", page)
	}
}

func TestPoliciesAreFound(t *testing.T) {
	const policy = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\n"
	indented := strings.ReplaceAll(policy, "\n", "\n    ")
	for text, want := range map[string]int{
		policy:                      1,
		"kind: Pod\n---\n" + policy: 1,
		"kind: ConfigMap\ndata:\n  policy.yaml: |\n    " + indented: 1,
		"patches:\n- patch: |\n    " + indented:                     1,
		"kind: Pod\n":                                               0,
	} {
		if got := policiesIn(t, "test", text); len(got) != want {
			t.Errorf("found %d policies, want %d, in\n%s", len(got), want, text)
		}
	}
}

// head is the beginning of a policy.
const head = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\n"

// policies are policies for the schema, and whether they are valid.
var policies = map[string]bool{
	head: true,
	head + "disallowedTags: []\nmirrors: []\ndeniedImages: []\n":   true,
	head + "mirrors: [{source: quay.io, mirror: ''}]\n":            true,
	head + "disallowedTags: [latest, '*-snapshot', '1.10', v1_-.]": true,

	"":                                       false,
	"[]":                                     false,
	"kind: ImagePolicy":                      false,
	"apiVersion: image-webhook.dev/v1alpha1": false,
	strings.Replace(head, "v1alpha1", "v1", 1):               false,
	strings.Replace(head, "ImagePolicy", "ClusterPolicy", 1): false,
	head + "mirror: []": false,
	head + "mirrors: {docker.io: docker.mirror.example}":                              false,
	head + "mirrors: [{source: docker.io}]":                                           false,
	head + "mirrors: [{mirror: docker.mirror.example}]":                               false,
	head + "mirrors: [{source: '', mirror: m.example}]":                               false,
	head + "mirrors: [{source: quay.io, mirror: null}]":                               false,
	head + "mirrors: [{source: quay.io, mirror: m.example, insecure: true}]":          false,
	head + "disallowedTags: latest":                                                   false,
	head + "disallowedTags: [1.10]":                                                   false,
	head + "disallowedTags: [latest, latest]":                                         false,
	head + "disallowedTags: ['nginx:latest']":                                         false,
	head + "disallowedTags: ['']":                                                     false,
	head + "exemptImages: [1]":                                                        false,
	head + "allowedRegistries: []":                                                    false,
	head + "requireDigest: true":                                                      false,
	head + "deniedImages: [nginx]":                                                    false,
	head + "deniedImages: [{image: nginx}]":                                           false,
	head + "deniedImages: [{image: nginx, reason: ''}]":                               false,
	head + "deniedImages: [{image: nginx, reason: " + strings.Repeat("x", 501) + "}]": false,
	head + "imagePullPolicy: Never":                                                   false,
	head + "imagePullPolicy: ''":                                                      false,
	head + "imagePullSecrets: [{name: mirror}]":                                       false,
}

func TestSchemaRefusesInvalidPolicies(t *testing.T) {
	schema := compiled(t)
	for text, want := range policies {
		if err := validate(t, schema, text); (err == nil) != want {
			t.Errorf("valid: %t, want %t (%v):\n%s", err == nil, want, err, text)
		}
	}
}

// A misspelled restriction would have no effect.
func TestSchemaHasAllRestrictions(t *testing.T) {
	for _, keyword := range []string{"const", "enum", "minItems", "uniqueItems", "minLength", "maxLength", "pattern", "default", "required", "additionalProperties"} {
		if !bytes.Contains([]byte(readFile(t, schemaFile)), []byte(`"`+keyword+`": `)) {
			t.Errorf("the schema has no %s", keyword)
		}
	}
}
