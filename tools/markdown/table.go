package markdown

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Table returns a Markdown table that is also aligned as text. The first row is the heading; all
// columns except the first one are aligned to the right.
func Table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		writeRow(&b, row, widths)
		if i == 0 {
			writeRow(&b, rule(widths), widths)
		}
	}
	return b.String()
}

func writeRow(b *strings.Builder, row []string, widths []int) {
	for i, cell := range row {
		width := widths[i]
		if i == 0 {
			width = -width
		}
		fmt.Fprintf(b, "| %*s ", width, cell)
	}
	b.WriteString("|\n")
}

// rule returns the row below the heading.
func rule(widths []int) (cells []string) {
	for i, width := range widths {
		line := strings.Repeat("-", width)
		if i > 0 {
			line = line[1:] + ":"
		}
		cells = append(cells, line)
	}
	return cells
}
