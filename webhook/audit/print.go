package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/image-webhook/image-webhook/webhook/status"
	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

// PrintJSON writes the result as JSON.
func (r *Result) PrintJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Print writes the result as tables: the findings, and the mirror rules that apply. If wide is set, it also
// writes what to do about each finding, and each mirrored image instead of the rules. The last lines say what
// would be refused in each mode.
func (r *Result) Print(out io.Writer, wide bool) error {
	var text strings.Builder
	fmt.Fprintf(&text, "policy: %s\n", terminaltext.Clean(r.Policy))
	if r.Assumed != "" {
		fmt.Fprintf(&text, "modes: as in the manifests of this version, because %s\n", terminaltext.Clean(r.Assumed))
	}
	writeTable(&text, r.findingRows(wide))
	if wide {
		writeTable(&text, r.imageRows())
	} else {
		writeTable(&text, r.ruleRows())
	}
	text.WriteString("\n")
	for _, m := range r.Missing {
		fmt.Fprintf(&text, "missing %s %s\n", terminaltext.Clean(m.From), terminaltext.Clean(m.To))
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&text, "problem: %s\n", terminaltext.Clean(p.String()))
	}
	for _, line := range r.totals() {
		text.WriteString(line + "\n")
	}
	if len(r.Problems) > 0 {
		fmt.Fprintf(&text, "incomplete: %s\n", terminaltext.Count(len(r.Problems), "problem"))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// String returns the message of the problem with its namespace.
func (p Problem) String() string {
	if p.Namespace == "" {
		return p.Message
	}
	return "namespace " + p.Namespace + ": " + p.Message
}

// writeTable writes rows in columns after an empty line, unless there is only the header.
func writeTable(out io.Writer, rows [][]string) {
	if len(rows) < 2 {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = terminaltext.Clean(cell)
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	table.Flush() // out has no errors
}

func (r *Result) findingRows(wide bool) [][]string {
	rows := [][]string{{"NAMESPACE", "MODE", "OWNER", "PODS", "USED BY", "IMAGE", "REASON"}}
	for _, f := range r.Findings {
		var reasons []string
		for _, v := range f.Violations {
			reason := v.Reason
			if wide {
				reason += ": " + v.Remedy
			}
			reasons = append(reasons, reason)
		}
		rows = append(rows, []string{f.Namespace, f.Mode, f.Owner, terminaltext.Number(f.Pods), f.Holder + " " + f.Name, f.Image, strings.Join(reasons, "; ")})
	}
	return rows
}

func (r *Result) imageRows() [][]string {
	rows := [][]string{{"IMAGE", "MIRROR", "PODS ON MIRROR", "PODS ON ORIGINAL"}}
	for _, m := range r.Mirrored {
		rows = append(rows, []string{m.Image, m.To, terminaltext.Number(m.Mirror), terminaltext.Number(m.Original)})
	}
	return rows
}

func (r *Result) ruleRows() [][]string {
	rows := [][]string{{"MIRROR RULE", "IMAGES", "PODS ON MIRROR", "PODS ON ORIGINAL"}}
	for _, rule := range r.MirrorRules {
		rows = append(rows, []string{rule.Rule, terminaltext.Number(rule.Images), terminaltext.Number(rule.Mirror), terminaltext.Number(rule.Original)})
	}
	return rows
}

// modes are the modes with what the last lines say about them.
var modes = []struct{ mode, when string }{
	{"deny", "if they were created today"},
	{"warn", "after a switch to deny"},
	{"off", "after a switch to deny"},
	{modeUnknown, "in the mode deny"},
}

// totals returns a line for each mode.
func (r *Result) totals() (lines []string) {
	for _, m := range modes {
		var sum Summary
		for _, n := range r.Namespaces {
			if n.Mode == m.mode {
				sum = Summary{sum.Namespaces + 1, sum.Pods + n.Pods, sum.Refused + n.Refused, sum.Owners + n.Owners}
			}
		}
		if sum.Namespaces > 0 {
			lines = append(lines, "mode "+m.mode+": "+sum.text(m.when))
		}
	}
	if len(lines) == 0 {
		lines = []string{"no namespace was audited: no webhook is called for " + r.excluded()}
	}
	return lines
}

func (r *Result) excluded() string {
	var names []string
	for _, n := range r.Namespaces {
		if n.Mode == status.ModeExcluded {
			names = append(names, n.Name)
		}
	}
	return strings.Join(names, ", ")
}

func (s Summary) text(when string) string {
	text := fmt.Sprintf("%s of %s in %s would be refused %s", terminaltext.Number(s.Refused), terminaltext.Count(s.Pods, "pod"), terminaltext.Count(s.Namespaces, "namespace"), when)
	if s.Owners > 0 {
		text += "; owners to change: " + terminaltext.Number(s.Owners)
	}
	return text
}
