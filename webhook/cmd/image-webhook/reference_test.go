package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

var update = flag.Bool("update", false, "write the flags of serve to docs/configuration.md, and the answers to bad requests to docs/requests.md")

func TestPageListsTheFlags(t *testing.T) {
	compareSection(t, "../../../docs/configuration.md", "flags", flagTable(newServe().Flags()))
}

// compareSection compares a section of a page with its generated content, or writes it.
func compareSection(t *testing.T, file, name, content string) {
	t.Helper()
	if *update {
		if err := markdown.WriteSection(file, name, content); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := markdown.ReplaceSection(string(page), name, content)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(page), "\n")); diff != "" {
		t.Errorf("the %s in %s are outdated: run `go test ./webhook/cmd/image-webhook -update` and review the diff (-program +page):\n%s", name, file, diff)
	}
}

// flagTable returns a Markdown table of the flags, in the order of --help.
func flagTable(flags *pflag.FlagSet) string {
	var table strings.Builder
	table.WriteString("| flag | value | default | meaning |\n| --- | --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		if f.Value.Type() == "stringArray" {
			usage += "; can be repeated"
		}
		fmt.Fprintf(&table, "| `--%s` | %s | %s | %s |\n", f.Name, value, defaultCell(f.DefValue), escapeCell.Replace(usage))
	})
	return table.String()
}

// defaultCell returns a default value in the form that users write on a command line.
func defaultCell(value string) string {
	if value = strings.Trim(value, "[]"); value == "" {
		return "none"
	}
	return "`" + value + "`"
}

// escapeCell replaces characters that would end a table cell or change its format.
var escapeCell = strings.NewReplacer("\n", " ", "|", `\|`, "*", `\*`)
