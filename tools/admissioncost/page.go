package admissioncost

import (
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// Page is the page with the figures, in the checkout.
const Page = "docs/performance.md"

// WritePage replaces the section of the result in Page. root is the top of the checkout.
func (r *Result) WritePage(root string) error {
	return markdown.WriteSection(filepath.Join(root, Page), r.section(), r.Markdown())
}

// section returns the name of the section of Page that contains the result.
func (r *Result) section() string {
	if r.Bare {
		return "apiserver"
	}
	return "kind"
}
