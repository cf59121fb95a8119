package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the flags of serve to docs/configuration.md, and the answers to bad requests to docs/requests.md")

// page is the page with the table of flags, between the comments tableTop and tableEnd.
const (
	page     = "../../../docs/configuration.md"
	tableTop = "<!-- The flags of serve, written by `go test ./webhook/cmd/image-webhook -update`. -->\n"
	tableEnd = "<!-- The end of the flags. -->\n"
)

func TestPageListsTheFlags(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasTop := strings.Cut(string(content), tableTop)
	found, after, hasEnd := strings.Cut(rest, tableEnd)
	if !hasTop || !hasEnd {
		t.Fatalf("%s must contain these lines:\n%s%s", page, tableTop, tableEnd)
	}
	table := flagTable(newServe().Flags())
	if *update {
		if err := os.WriteFile(page, []byte(before+tableTop+table+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, found); diff != "" {
		t.Errorf("the table of flags in %s is outdated: run `go test ./webhook/cmd/image-webhook -update` (-serve +page):\n%s", page, diff)
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
