package admission

import (
	"fmt"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// maxWarning bounds a warning. The API server cuts off what is longer, and
// leaves out all that follows if warnings are over 4096 bytes together
// (k8s.io/apiserver, endpoints/filters/warning.go).
const maxWarning = 256

// fault is an image that may not run.
type fault struct {
	podimages.Image
	written []string // what it may have been before it was mirrored, if it was
	tag     *image.TagError
	unread  error
}

// String says who uses which image, why it may not run and what to do.
func (f fault) String() string {
	return f.usage() + f.names() + ", " + f.reason() + ": " + f.remedy()
}

// usage says who uses the image, which an ImageReview does not know.
func (f fault) usage() string {
	if f.Holder == "" {
		return ""
	}
	return fmt.Sprintf("%s %s (%s) uses ", f.Holder, quote(f.Name), f.Field())
}

func (f fault) names() string {
	if len(f.written) == 0 {
		return "image " + quote(f.Reference)
	}
	return "image " + alternatives(f.written) + " (mirrored to " + quote(f.Reference) + ")"
}

// alternatives quotes what may have been written: one reference, but for
// mirrors that share a path.
func alternatives(written []string) string {
	quoted := make([]string, len(written))
	for i, reference := range written {
		quoted[i] = quote(reference)
	}
	return strings.Join(quoted, " or ")
}

func (f fault) reason() string {
	switch {
	case f.tag == nil:
		return "which cannot be read (" + plain(f.unread.Error()) + ")"
	case f.tag.Implied:
		return "which has no tag and so means " + quote(f.tag.Tag) + ", a tag that is not allowed because it can change under you"
	}
	return "whose tag " + quote(f.tag.Tag) + " is not allowed because it can change under you"
}

func (f fault) remedy() string {
	if f.tag == nil {
		return "write it as [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST"
	}
	name := f.shown()
	if !f.tag.Implied {
		name = strings.TrimSuffix(name, ":"+f.tag.Tag)
	}
	return fmt.Sprintf("name a fixed tag such as %s:1.2.3 or pin a digest (%s@sha256:...)", name, name)
}

// shown is the image under the name that a person most likely wrote.
func (f fault) shown() string {
	if len(f.written) == 1 {
		return f.written[0]
	}
	return f.Reference
}

// warning says the same in one short line of at most maxWarning bytes; only a
// very long reference loses anything.
func (f fault) warning(and string) string {
	what := "image reference cannot be read"
	if f.tag != nil {
		what = "use `" + f.tag.Tag + "` tag is not allowed"
	}
	line := fmt.Sprintf("%s: %s %s (%s) has image %s", what, f.Holder, quote(f.Name), f.Field(), quote(f.shown()))
	return clip(line, maxWarning-len("...")-len(and)) + and
}
