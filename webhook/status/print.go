package status

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// PrintJSON writes the report as JSON.
func (r Report) PrintJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// colors are the escape sequences of the results on a terminal.
var colors = map[Result]string{OK: "\033[32m", Warning: "\033[33m", Problem: "\033[31m", Unknown: "\033[31m"}

const plain = "\033[0m"

// Print writes one line for each check, and an indented line for its fix.
func (r Report) Print(out io.Writer, colored bool) error {
	var text strings.Builder
	const row = "%-9s%-20s%s\n"
	fmt.Fprintf(&text, row, "RESULT", "CHECK", "MESSAGE")
	for _, c := range r.Checks {
		line := fmt.Sprintf(row, c.Result, c.Name, c.text())
		if color := colors[c.Result]; colored && color != "" {
			line = color + string(c.Result) + plain + strings.TrimPrefix(line, string(c.Result))
		}
		text.WriteString(line)
		if c.Fix != "" {
			fmt.Fprintf(&text, row, "", "", "fix: "+c.Fix)
		}
	}
	fmt.Fprintln(&text, r.summary())
	_, err := io.WriteString(out, text.String())
	return err
}

func (c Check) text() string {
	if c.Object == "" {
		return c.Message
	}
	return c.Object + ": " + c.Message
}

// summary returns the last line.
func (r Report) summary() string {
	verdict := "healthy"
	if !r.Healthy {
		verdict = "not healthy"
	}
	return fmt.Sprintf("%s: %s, %d unknown, %s", verdict, count(r.Count(Problem), "problem"), r.Count(Unknown), count(r.Count(Warning), "warning"))
}
