package policyfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// page contains two generated sections.
const page = root + "/docs/policy.md"

const fieldsHeader = "| field | value | meaning |\n| --- | --- | --- |\n"

func TestPageListsTheFields(t *testing.T) {
	compareSection(t, "fields", fieldsHeader+fieldRows("", newSchema(t)))
}

// compareSection compares a section of the page with a generated text. See compare.
func compareSection(t *testing.T, name, generated string) {
	t.Helper()
	text, err := markdown.ReplaceSection(readFile(t, page), name, generated)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, page, text)
}

// fieldRows returns a row for each field of an object, followed by those of the objects in it.
func fieldRows(parent string, object *jsonschema.Schema) string {
	var rows strings.Builder
	for name, field := range object.Properties.FromOldest() {
		path, value := parent+name, valueOf(field)
		if slices.Contains(object.Required, name) {
			value += ", required"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", path, value, escapeCell.Replace(field.Description))
		if field.Items != nil && field.Items.Properties != nil {
			rows.WriteString(fieldRows(path+"[].", field.Items))
		}
	}
	return rows.String()
}

// valueOf describes the values of a field.
func valueOf(field *jsonschema.Schema) string {
	switch {
	case field.Const != nil:
		return fmt.Sprintf("`%s`", field.Const)
	case len(field.Enum) > 0:
		return fmt.Sprintf("`%s`", field.Enum[0])
	case field.Items == nil:
		return field.Type
	case field.MinItems != nil:
		return fmt.Sprintf("list of %ss, at least %d", field.Items.Type, *field.MinItems)
	}
	return "list of " + field.Items.Type + "s"
}

// escapeCell replaces characters that would end a table cell or change its format.
var escapeCell = strings.NewReplacer("|", `\|`, "*", `\*`)
