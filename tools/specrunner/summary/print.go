package summary

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// How much of a reason a terminal gets: Ginkgo has shown all of it.
const (
	reasonLines = 16
	reasonWidth = 600
)

// Print writes what a person wants to see at the end of a run.
func (s Summary) Print(w io.Writer) {
	for _, failed := range s.failures() {
		fmt.Fprintf(w, "✗ %s (%s)\n%s\n", failed.name, failed.at, indent(begin(failed.reason), "    "))
		if cause := failed.cause(); cause != "" {
			fmt.Fprintf(w, "    %s\n", begin(cause))
		}
		for _, folder := range failed.noted(Folder) {
			fmt.Fprintf(w, "    More: artifacts/%s\n", folder)
		}
	}
	fmt.Fprintf(w, "%s. One page about it: artifacts/summary.md\n", s.count())
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer table.Flush()
	s.eachPhase(func(name, took string) { fmt.Fprintf(table, "  %s\t%s\n", name, took) })
}

func (s Summary) eachPhase(do func(name, took string)) {
	for _, phase := range s.Phases {
		if phase.Took < 50*time.Millisecond {
			continue // it was over before it was waited for
		}
		do(phase.Name, progress.Elapsed(phase.Took))
	}
	do("in all", progress.Elapsed(s.Phases.total()))
}

// WriteMarkdown writes the page.
func (s Summary) WriteMarkdown(w io.Writer) error {
	page := &page{w: w}
	page.line("# e2e: %s", s.count())
	page.line("\n%d at a time, in random order (seed %d).", s.report.SuiteConfig.ParallelTotal, s.report.SuiteConfig.RandomSeed)
	for _, failed := range s.failures() {
		page.failure(failed)
	}
	page.line("\n## Times\n\n| phase | time |\n| --- | ---: |")
	s.eachPhase(func(name, took string) { page.line("| %s | %s |", name, took) })
	page.line("\n| spec | | time |\n| --- | --- | ---: |")
	for _, each := range s.specs() {
		page.line("| %s | %s | %s |", cell(each.name), each.State, progress.Elapsed(each.RunTime))
	}
	return page.err
}

// page is a Markdown page; what cannot be written ends it.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) failure(failed spec) {
	p.line("\n## ✗ %s", cell(failed.name))
	p.line("\n%s, after %s\n\n%s", failed.at, progress.Elapsed(failed.RunTime), block(failed.reason))
	if cause := failed.cause(); cause != "" {
		p.line("\n%s", block(cause))
	}
	for _, text := range failed.noted(Diagnosis) {
		p.line("\n<details><summary>What the cluster said</summary>\n\n%s\n\n</details>", block(text))
	}
	for _, folder := range failed.noted(Folder) {
		p.line("\nMore: `artifacts/%s`", folder)
	}
}

// block shows text as it is, whatever marks are in it.
func block(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + "\n" + fence
}

// cell keeps text in its cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}

// begin is the beginning of a long text, and of each of its lines.
func begin(text string) string {
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

func indent(text, by string) string {
	return by + strings.ReplaceAll(text, "\n", "\n"+by)
}
