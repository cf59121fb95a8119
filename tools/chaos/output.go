package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// section returns the name of the section that a page has for the report.
func section(soak bool) string {
	if soak {
		return "soak"
	}
	return "chaos"
}

// CheckOutput returns an error if Write could not write a report to the file.
func CheckOutput(file string, soak bool) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = markdown.ReplaceSection(string(text), section(soak), "")
	}
	if err != nil {
		return fmt.Errorf("write the report to %s: %w", file, err)
	}
	return nil
}

// Write writes the report to a file. In a file that exists, it replaces only the section of the
// report.
func (r *Report) Write(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return markdown.WriteSection(file, section(r.Soak), r.Markdown())
	}
	name := section(r.Soak)
	page := fmt.Sprintf("<!-- begin %s: written by `bin/chaos` -->\n\n%s\n<!-- end %s -->\n", name, r.Markdown(), name)
	return os.WriteFile(file, []byte(page), 0o644)
}
