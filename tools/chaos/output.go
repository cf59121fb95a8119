package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// section returns the name of the section that a page has for the report of a form.
func section(soak, hybrid bool) string {
	name := "chaos"
	if soak {
		name = "soak"
	}
	if hybrid {
		name = "hybrid " + name
	}
	return name
}

// CheckOutput returns an error if Write could not write a report of any form to the file.
func CheckOutput(file string, soak bool) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if _, err = markdown.ReplaceSection(string(text), section(soak, false), ""); err != nil {
			if _, missing := markdown.ReplaceSection(string(text), section(soak, true), ""); missing == nil {
				err = nil
			}
		}
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
		return markdown.WriteSection(file, section(r.Soak, r.Hybrid), r.Markdown())
	}
	name := section(r.Soak, r.Hybrid)
	page := fmt.Sprintf("<!-- begin %s: written by `bin/chaos` -->\n\n%s\n<!-- end %s -->\n", name, r.Markdown(), name)
	return os.WriteFile(file, []byte(page), 0o644)
}
