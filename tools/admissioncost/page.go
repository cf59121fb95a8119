package admissioncost

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// Page is the page with the figures, in the checkout.
const Page = "docs/performance.md"

// WritePage replaces the section of the result in Page. root is the top of the checkout.
func (r *Result) WritePage(root string) error {
	path := filepath.Join(root, Page)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	updated, err := markdown.ReplaceSection(string(text), r.section(), r.Markdown())
	if err != nil {
		return fmt.Errorf("write the figures to %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(updated), 0o644)
}

// section returns the name of the section of Page that contains the result.
func (r *Result) section() string {
	if r.Bare {
		return "apiserver"
	}
	return "kind"
}
