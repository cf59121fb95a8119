package markdown

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// WriteSection replaces the content of a section in a file. If the file does not have the
// section, it stays unchanged.
func WriteSection(file, name, content string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("write section %q: %w", name, err)
	}
	changed, err := ReplaceSection(string(text), name, content)
	if err != nil {
		return fmt.Errorf("write section %q of %s: %w", name, file, err)
	}
	return os.WriteFile(file, []byte(changed), 0o644)
}

// ReplaceSection returns text with content between the markers of a section. A marker is a line:
//
//	<!-- begin NAME: written by COMMAND -->
//	<!-- end NAME -->
//
// The markers stay, with an empty line between each marker and the content, so that the content
// can be any Markdown block. The error names the marker that is missing or not unique.
func ReplaceSection(text, name, content string) (string, error) {
	quoted := regexp.QuoteMeta(name)
	_, start, err := findMarker(text, `<!-- begin `+quoted+`: written by [^\n]+ -->`, "<!-- begin "+name+": written by COMMAND -->")
	if err != nil {
		return "", err
	}
	end, _, err := findMarker(text, `<!-- end `+quoted+` -->`, "<!-- end "+name+" -->")
	if err != nil {
		return "", err
	}
	if end < start {
		return "", fmt.Errorf("section %q: its end is before its begin: swap the markers", name)
	}
	return text[:start] + "\n\n" + strings.TrimSpace(content) + "\n\n" + text[end:], nil
}

// findMarker returns the offsets of the only line that matches a pattern. form is the marker in
// the error.
func findMarker(text, pattern, form string) (start, end int, err error) {
	found := regexp.MustCompile(`(?m)^`+pattern+`$`).FindAllStringIndex(text, -1)
	if len(found) != 1 {
		return 0, 0, fmt.Errorf("the marker %q is on %d lines: write it on exactly one line", form, len(found))
	}
	return found[0][0], found[0][1], nil
}
