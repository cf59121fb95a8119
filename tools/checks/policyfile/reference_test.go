package policyfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

// The page contains generated text between a comment and the line end of the same name.
const (
	page         = root + "/docs/policy.md"
	writtenBy    = ", written by `go -C tools/checks/policyfile test . -update`. -->\n"
	fieldsTop    = "<!-- The fields of the policy file" + writtenBy
	fieldsEnd    = "<!-- The end of the fields. -->\n"
	fieldsHeader = "| field | value | meaning |\n| --- | --- | --- |\n"
)

func TestPageListsTheFields(t *testing.T) {
	compare(t, page, replaceBetween(t, readFile(t, page), fieldsTop, fieldsEnd, fieldsHeader+fieldRows("", newSchema(t))))
}

// replaceBetween replaces the text between two lines, which must be in the text once.
func replaceBetween(t *testing.T, text, top, end, generated string) string {
	t.Helper()
	before, rest, hasTop := strings.Cut(text, top)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasTop || !hasEnd {
		t.Fatalf("docs/policy.md must contain these lines:\n%s%s", top, end)
	}
	return before + top + generated + end + after
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
