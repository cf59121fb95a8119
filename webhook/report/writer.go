package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

// Writer writes findings in one format. Images come file by file, in the order of each file; the missing
// images come after all images.
type Writer interface {
	// Image writes an image. Callers pass allowed images too: the format decides what it shows.
	Image(Image) error
	Problem(Problem) error
	Missing(Missing) error
	// Close writes the end. Without it the output can be incomplete.
	Close(Summary) error
}

// Formats are the names of the formats. The first is the default.
var Formats = []string{"text", "json", "sarif", "github", "junit"}

// New returns a Writer for a format. The version of the program is part of some formats. Only text has
// colors.
func New(format, version string, out io.Writer, color bool) (Writer, error) {
	switch format {
	case "text":
		return &textWriter{out: out, color: color}, nil
	case "json":
		return &jsonWriter{out: out}, nil
	case "sarif":
		return newSARIF(version, out), nil
	case "github":
		return githubWriter{out}, nil
	case "junit":
		return &junitWriter{out: out}, nil
	}
	last := len(Formats) - 1
	return nil, fmt.Errorf("invalid format %q: use %s or %s", format, strings.Join(Formats[:last], ", "), Formats[last])
}

// describe returns in one line which image a field has, as a denial of the server says it.
func (i Image) describe() string {
	named := i.Field + ": " + i.named()
	if i.Holder != "" {
		named = i.Holder + " uses " + i.named()
	}
	return terminaltext.Clean(i.Object + ": " + named)
}

// named returns the image with its mirrored name.
func (i Image) named() string {
	if i.Mirrored == "" {
		return "image " + quote(i.Image)
	}
	return "image " + quote(i.Image) + " (mirrored to " + quote(i.Mirrored) + ")"
}

// String returns the reason in the form of a denial.
func (v Violation) String() string { return terminaltext.Clean(v.Reason + ": " + v.Remedy) }

// describe returns what is missing and what to do.
func (m Missing) describe() string {
	return terminaltext.Clean("image " + quote(m.From) + " is missing on its mirror: copy it to " + quote(m.To))
}

// qualified returns the object with its namespace.
func (i Image) qualified() string {
	if i.Namespace == "" {
		return i.Object
	}
	return i.Namespace + "/" + i.Object
}

// String returns the summary as one line.
func (s Summary) String() string {
	if s.Images == 0 {
		return "found no images in " + terminaltext.Count(s.Files, "file") + s.incomplete()
	}
	verdict := terminaltext.Choose(s.Violations, "is not allowed", "are not allowed")
	if s.Violations == 0 {
		verdict = terminaltext.Choose(s.Images, "is allowed", "are allowed")
	}
	details := []string{verdict}
	if s.Fixed > 0 {
		details = append(details, terminaltext.Choose(s.Fixed, "was fixed", "were fixed"))
	}
	if s.Missing > 0 {
		details = append(details, terminaltext.Choose(s.Missing, "is missing on its mirror", "are missing on their mirrors"))
	}
	return fmt.Sprintf("checked %s in %s: %s%s", terminaltext.Count(s.Images, "image"), terminaltext.Count(s.Files, "file"),
		strings.Join(details, ", "), s.incomplete())
}

func (s Summary) incomplete() string {
	if s.Problems == 0 {
		return ""
	}
	return "; incomplete because of " + terminaltext.Count(s.Problems, "error")
}

// occurrences counts equal texts within one file, so that its memory is bounded by the file.
type occurrences struct {
	file string
	seen map[string]int
}

// next returns how often the file has had the text, including this time.
func (o *occurrences) next(file, text string) int {
	if o.seen == nil || o.file != file {
		o.file, o.seen = file, map[string]int{}
	}
	o.seen[text]++
	return o.seen[text]
}
