package loadtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// table is a table whose first column is text and whose other columns are figures.
type table struct {
	title  string
	header []string
	rows   [][]string
}

// text returns the table with aligned columns.
func (t table) text() string {
	lines := append([][]string{t.header}, t.rows...)
	widths := make([]int, len(t.header))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&out, "  %-*s", widths[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(&out, "  %*s", widths[i+1], cell)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// markdown returns the table as Markdown.
func (t table) markdown() string {
	var out strings.Builder
	writeRow := func(cells []string) { out.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	writeRow(t.header)
	writeRow(append([]string{"---"}, strings.Fields(strings.Repeat("---: ", len(t.header)-1))...))
	for _, row := range t.rows {
		writeRow(row)
	}
	return out.String()
}

// formatCount returns a number with three digits or more, such as 1.25, 12.5, 125 or 12,500.
func formatCount(n float64) string {
	switch {
	case n < 9.995:
		return fmt.Sprintf("%.2f", n)
	case n < 99.95:
		return fmt.Sprintf("%.1f", n)
	}
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// formatDuration returns a duration in µs, ms or s.
func formatDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return formatCount(float64(d)/float64(time.Microsecond)) + " µs"
	case d < time.Second:
		return formatCount(float64(d)/float64(time.Millisecond)) + " ms"
	}
	return formatCount(d.Seconds()) + " s"
}

// formatSize returns a size in B, KB or MB, whose units are powers of 1000.
func formatSize(bytes float64) string {
	switch {
	case bytes < 1e3:
		return fmt.Sprintf("%.0f B", bytes)
	case bytes < 1e6:
		return formatCount(bytes/1e3) + " KB"
	}
	return formatCount(bytes/1e6) + " MB"
}
