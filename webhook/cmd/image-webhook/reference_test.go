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

// update writes the flags into the manual: go test ./webhook/cmd/image-webhook -update.
var update = flag.Bool("update", false, "write the flags of serve into docs/configuration.md")

// The manual's page of the flags, and what stands around their table in it.
const (
	manual   = "../../../docs/configuration.md"
	tableTop = "<!-- The flags of serve, written by `go test ./webhook/cmd/image-webhook -update`. -->\n"
	tableEnd = "<!-- The end of the flags. -->\n"
)

func TestManualHasTheFlags(t *testing.T) {
	content, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(content), tableTop)
	found, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s must have the lines\n%s%s", manual, tableTop, tableEnd)
	}
	table := flagTable(newServe().Flags())
	if *update {
		if err := os.WriteFile(manual, []byte(before+tableTop+table+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, found); diff != "" {
		t.Errorf("%s has other flags than serve: run `go test ./webhook/cmd/image-webhook -update` (-serve +manual):\n%s", manual, diff)
	}
}

// flagTable is a table in Markdown, in the order of --help.
func flagTable(flags *pflag.FlagSet) string {
	var table strings.Builder
	table.WriteString("| flag | value | default | meaning |\n| --- | --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		if f.Value.Type() == "stringArray" {
			usage += "; can be repeated"
		}
		fmt.Fprintf(&table, "| `--%s` | %s | %s | %s |\n", f.Name, value, shownDefault(f.DefValue), cell.Replace(usage))
	})
	return table.String()
}

// shownDefault is a default as it would be written on the command line.
func shownDefault(value string) string {
	if value = strings.Trim(value, "[]"); value == "" {
		return "none"
	}
	return "`" + value + "`"
}

// cell keeps a text on its line and in its column.
var cell = strings.NewReplacer("\n", " ", "|", `\|`, "*", `\*`)
