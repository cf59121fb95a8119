package loadtest

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// The page with the figures, its section, and its plot, relative to the top of the checkout.
const (
	Page     = "docs/performance.md"
	section  = "handlers"
	plotFile = "performance.svg"
)

// WritePage writes the figures to the page, and the plot beside it.
func (r *Result) WritePage(root string) error {
	page := filepath.Join(root, Page)
	if err := markdown.WriteSection(page, section, r.Markdown(plotFile)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(page), plotFile), []byte(r.Plot()), 0o644)
}

// WriteJSON writes all figures to a file.
func (r *Result) WriteJSON(file string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644)
}
