package summary

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// reasonLines and reasonWidth limit the reason of a failure on a terminal. Ginkgo has printed all
// of it.
const (
	reasonLines = 16
	reasonWidth = 600
)

// Print writes the result for the end of a run: the failures, the counts and the durations.
func (s Summary) Print(w io.Writer) {
	for _, failed := range s.failures() {
		fmt.Fprintf(w, "✗ %s (%s)\n%s\n", failed.name, failed.location, indent(truncate(failed.reason), "    "))
		if cause := failed.cause(); cause != "" {
			fmt.Fprintf(w, "    %s\n", truncate(cause))
		}
		for _, dir := range failed.entries(Directory) {
			fmt.Fprintf(w, "    Details: artifacts/%s\n", dir)
		}
	}
	fmt.Fprintf(w, "%s. Summary: artifacts/summary.md\n", s.count())
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer table.Flush()
	s.eachPhase(func(name, duration string) { fmt.Fprintf(table, "  %s\t%s\n", name, duration) })
}

// eachPhase calls show for each phase except very short ones, and for the total.
func (s Summary) eachPhase(show func(name, duration string)) {
	for _, phase := range s.Phases {
		if phase.Duration < 50*time.Millisecond {
			continue // it had already ended in the background
		}
		show(phase.Name, progress.Elapsed(phase.Duration))
	}
	show("total", progress.Elapsed(s.Phases.total()))
}

// WriteMarkdown writes the summary page.
func (s Summary) WriteMarkdown(w io.Writer) error {
	page := &page{w: w}
	page.printf("# e2e: %s", s.count())
	page.printf("\nThe specs ran in random order (seed %[2]d), %[1]d at a time.", s.report.SuiteConfig.ParallelTotal, s.report.SuiteConfig.RandomSeed)
	for _, failed := range s.failures() {
		page.writeFailure(failed)
	}
	page.printf("\n## Durations\n\n| phase | duration |\n| --- | ---: |")
	s.eachPhase(func(name, duration string) { page.printf("| %s | %s |", name, duration) })
	page.printf("\n| spec | result | duration |\n| --- | --- | ---: |")
	for _, spec := range s.specs() {
		page.printf("| %s | %s | %s |", escapeCell(spec.name), spec.State, progress.Elapsed(spec.RunTime))
	}
	return page.err
}

// page is a Markdown page. After an error it writes nothing more.
type page struct {
	w   io.Writer
	err error
}

// printf writes a line.
func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) writeFailure(failed spec) {
	p.printf("\n## ✗ %s", escapeCell(failed.name))
	p.printf("\n%s, after %s\n\n%s", failed.location, progress.Elapsed(failed.RunTime), codeBlock(failed.reason))
	if cause := failed.cause(); cause != "" {
		p.printf("\n%s", codeBlock(cause))
	}
	for _, text := range failed.entries(Diagnosis) {
		p.printf("\n<details><summary>Diagnosis</summary>\n\n%s\n\n</details>", codeBlock(text))
	}
	for _, dir := range failed.entries(Directory) {
		p.printf("\nDetails: `artifacts/%s`", dir)
	}
}

// codeBlock returns text as a code block, with a fence that the text does not contain.
func codeBlock(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + "\n" + fence
}

// escapeCell escapes text for a cell of a table.
func escapeCell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}

// truncate cuts the lines of a text after reasonLines, and each line after reasonWidth.
func truncate(text string) string {
	lines := strings.Split(text, "\n")
	if len(lines) > reasonLines {
		lines = append(lines[:reasonLines:reasonLines], "…")
	}
	for i, line := range lines {
		if len(line) > reasonWidth {
			lines[i] = strings.ToValidUTF8(line[:reasonWidth], "") + "…"
		}
	}
	return strings.Join(lines, "\n")
}

func indent(text, prefix string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
}
