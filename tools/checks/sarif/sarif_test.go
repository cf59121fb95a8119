// Package sarif validates the SARIF of package report against the schema that OASIS publishes, and against
// the rules of GitHub.
package sarif

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/securego/gosec/v2/cwe" // its module has the schema

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/report"
)

// schemaID is the address where OASIS publishes the schema.
const schemaID = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

// compiled returns the published schema, which also checks formats such as URI.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	directory, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f={{.Dir}}", "github.com/securego/gosec/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(strings.TrimSpace(string(directory)), "report/sarif/testdata/sarif-schema-2.1.0.json")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if id := document.(map[string]any)["id"]; id != schemaID {
		t.Fatalf("%s is the schema %v, want %s", file, id, schemaID)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(schemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, log []byte) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(log))
	if err != nil {
		t.Fatalf("%v in\n%s", err, log)
	}
	return schema.Validate(document)
}

// writeLog writes a log of the findings that write passes to a Writer.
func writeLog(t *testing.T, write func(report.Writer) error) []byte {
	t.Helper()
	var log bytes.Buffer
	w, err := report.New("sarif", "v1.2.3", &log, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(report.Summary{}); err != nil {
		t.Fatal(err)
	}
	return log.Bytes()
}

// places are known to different degrees.
var places = []report.Place{
	{File: "deploy/web.yaml", Document: 2, Line: 21, Column: 16}, {File: "/srv/a b.yaml", Line: 1}, {File: "-", Document: 1},
	{File: "../ä:%,#?.yaml", Line: 1, Column: 1}, {File: "a:b\n\xff.yaml"}, {},
}

// texts are names as users write them, and names that no user writes.
var texts = []string{"nginx", "", "\x1b\u009b\u202e\x00", "\xff", strings.Repeat("x", 2000), "{0} [link](1)"}

func TestLogsAreValid(t *testing.T) {
	schema := compiled(t)
	logs := map[string]func(report.Writer) error{"empty": func(report.Writer) error { return nil }}
	for i, place := range places {
		for j, text := range texts {
			logs[fmt.Sprint(i, j)] = func(w report.Writer) error { return findings(w, place, text) }
		}
	}
	for name, write := range logs {
		log := writeLog(t, write)
		if err := validate(t, schema, log); err != nil {
			t.Errorf("log %s: %v\n%s", name, err, log)
		}
	}
}

// findings writes a finding of each kind and of each rule.
func findings(w report.Writer, place report.Place, text string) error {
	for rule := range image.Rules {
		broken := report.Violation{Rule: image.Rule(rule).String(), Reason: text, Remedy: text}
		if err := w.Image(report.Image{
			Place: place, Object: text, Namespace: text, Field: text, Holder: text, Image: text, Mirrored: text,
			Violations: []report.Violation{broken, broken},
		}); err != nil {
			return err
		}
	}
	if err := w.Problem(report.Problem{Place: place, Message: text}); err != nil {
		return err
	}
	return w.Missing(report.Missing{Place: place, From: text, To: text})
}

func TestLogAboveLimitIsValid(t *testing.T) {
	log := writeLog(t, func(w report.Writer) error {
		for range 5000 {
			if err := findings(w, places[0], "nginx"); err != nil {
				return err
			}
		}
		return nil
	})
	if err := validate(t, compiled(t), log); err != nil {
		t.Error(err)
	}
}

func TestInvalidLogsAreFound(t *testing.T) {
	schema, log := compiled(t), writeLog(t, func(w report.Writer) error { return findings(w, places[0], "nginx") })
	for from, to := range map[string]string{
		`"version": "2.1.0"`:                `"version": "2.0.0"`,
		`"startLine":21`:                    `"startLine":0`,
		`"level":"error"`:                   `"level":"fatal"`,
		`"uri":"deploy/web.yaml"`:           `"uri":"deploy/%zz.yaml"`,
		`"columnKind": "unicodeCodePoints"`: `"columns": "characters"`,
		`"executionSuccessful":false`:       `"executed":false`,
	} {
		changed := bytes.ReplaceAll(log, []byte(from), []byte(to))
		if bytes.Equal(changed, log) {
			t.Fatalf("%s is not in\n%s", from, log)
		}
		if validate(t, schema, changed) == nil {
			t.Errorf("%s is valid", to)
		}
	}
}

// TestGitHubsRequirements checks what GitHub requires in addition to the schema:
// https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support.
func TestGitHubsRequirements(t *testing.T) {
	var log struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Name, Version string
					Rules         []struct {
						ID                                      string
						ShortDescription, FullDescription, Help struct{ Text string }
					}
				}
			}
			Results []struct {
				RuleID    string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
				PartialFingerprints map[string]string
			}
		}
	}
	text := writeLog(t, func(w report.Writer) error { return findings(w, places[0], "nginx") })
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if driver := run.Tool.Driver; driver.Name != "image-webhook" || driver.Version != "v1.2.3" {
		t.Errorf("the tool is %s %s", driver.Name, driver.Version)
	}
	for _, rule := range run.Tool.Driver.Rules {
		if rule.ID == "" || len(rule.ID) > 255 || len(rule.ShortDescription.Text) > 1024 || rule.Help.Text == "" || rule.FullDescription.Text == "" {
			t.Errorf("rule %+v has no ID or text, or a text that is too long", rule)
		}
	}
	for _, r := range run.Results {
		location := r.Locations[0].PhysicalLocation
		if r.RuleID == "" || r.Message.Text == "" || location.ArtifactLocation.URI == "" || location.Region.StartLine == 0 || len(r.PartialFingerprints) == 0 {
			t.Errorf("result %+v is not complete", r)
		}
	}
	if want := 2*image.Rules + 1; len(run.Results) != want {
		t.Errorf("got %d results, want %d", len(run.Results), want)
	}
}
