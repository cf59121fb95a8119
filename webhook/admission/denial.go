package admission

import (
	"fmt"
	"iter"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

const (
	// maxShown is the number of violations that a message describes: a pod can have a
	// million containers, and users read the first few.
	maxShown = 10
	// maxCounted is the number of violations after which the search ends, so that such a
	// pod is answered before the timeout of the API server.
	maxCounted = 1000
	// maxWarning bounds a warning, in bytes. The API server truncates longer ones, and
	// drops the remaining warnings if all together exceed 4096 bytes
	// (k8s.io/apiserver, endpoints/filters/warning.go).
	maxWarning = 256
)

// violations are the disallowed images of an object. Its methods write the message of a
// denial and the warnings.
type violations struct {
	mirrors image.Mirrors
	first   []violation // at most maxShown
	count   int
}

// violation is an image that must not run.
type violation struct {
	podimages.Image
	origins []string        // what it may have been before it was mirrored
	tag     *image.TagError // nil for an invalid reference
	invalid error           // of Parse
}

// find adds the images that the policy disallows.
func (v *violations) find(policy *image.Policy, images iter.Seq[podimages.Image]) {
	for img := range images {
		ref, err := image.Parse(img.Reference)
		found := violation{Image: img, invalid: err}
		if err == nil {
			found.tag = policy.Check(ref)
		}
		if found.invalid != nil || found.tag != nil {
			v.add(found, ref)
		}
		if v.isComplete() {
			return
		}
	}
}

// add counts a violation, and keeps the first maxShown with their origins.
func (v *violations) add(found violation, ref image.Reference) {
	v.count++
	if v.count > maxShown {
		return
	}
	if found.invalid == nil {
		found.origins = v.mirrors.Origins(ref)
	}
	v.first = append(v.first, found)
}

// isComplete reports whether the search can end.
func (v *violations) isComplete() bool { return v.count >= maxCounted }

// String returns the message of a denial: one violation on one line, several on a line
// each.
func (v *violations) String() string {
	if v.count == 1 {
		return v.first[0].String()
	}
	var message strings.Builder
	if v.isComplete() {
		message.WriteString("at least ")
	}
	fmt.Fprintf(&message, "%d images are not allowed", v.count)
	for _, shown := range v.first {
		message.WriteString("\n- " + shown.String())
	}
	if more := v.more(); more != "" {
		message.WriteString("\n- and " + more)
	}
	return message.String()
}

// warnings returns a warning for each violation, each followed by suffix.
func (v *violations) warnings(suffix string) (warnings []string) {
	for _, shown := range v.first {
		warnings = append(warnings, shown.warning(suffix))
	}
	if more := v.more(); more != "" {
		warnings = append(warnings, "and "+more+" images are not allowed"+suffix)
	}
	return warnings
}

// more returns the number of violations that are not described, or an empty string.
func (v *violations) more() string {
	more := v.count - len(v.first)
	switch {
	case more == 0:
		return ""
	case v.isComplete():
		return fmt.Sprintf("at least %d more", more)
	}
	return fmt.Sprintf("%d more", more)
}

// String says which field uses which image, why it must not run and what to do.
func (v violation) String() string {
	return v.user() + v.names() + ": " + v.reason() + ": " + v.remedy()
}

// user names the container or volume that uses the image; an ImageReview does not name it.
func (v violation) user() string {
	if v.Holder == "" {
		return ""
	}
	return fmt.Sprintf("%s %s (%s) uses ", v.Holder, quote(v.Name), v.Field())
}

func (v violation) names() string {
	if len(v.origins) == 0 {
		return "image " + quote(v.Reference)
	}
	return "image " + alternatives(v.origins) + " (mirrored to " + quote(v.Reference) + ")"
}

// alternatives quotes the possible origins: one, unless mirrors share a path.
func alternatives(origins []string) string {
	quoted := make([]string, len(origins))
	for i, reference := range origins {
		quoted[i] = quote(reference)
	}
	return strings.Join(quoted, " or ")
}

func (v violation) reason() string {
	switch {
	case v.tag == nil:
		return "invalid reference (" + plain(v.invalid.Error()) + ")"
	case v.tag.Implied:
		return "no tag means tag " + quote(v.tag.Tag) + ", which is not allowed because its image can change"
	}
	return "tag " + quote(v.tag.Tag) + " is not allowed because its image can change"
}

func (v violation) remedy() string {
	if v.tag == nil {
		return "use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST"
	}
	name := v.likelyName()
	if !v.tag.Implied {
		name = strings.TrimSuffix(name, ":"+v.tag.Tag)
	}
	return fmt.Sprintf("use a fixed tag such as %s:1.2.3 or a digest (%s@sha256:...)", name, name)
}

// likelyName returns the reference that the user most likely wrote.
func (v violation) likelyName() string {
	if len(v.origins) == 1 {
		return v.origins[0]
	}
	return v.Reference
}

// warning returns one line of at most maxWarning bytes; only a very long reference is
// truncated.
func (v violation) warning(suffix string) string {
	problem := "invalid image reference"
	if v.tag != nil {
		problem = "use `" + v.tag.Tag + "` tag is not allowed"
	}
	line := fmt.Sprintf("%s: %s %s (%s) has image %s", problem, v.Holder, quote(v.Name), v.Field(), quote(v.likelyName()))
	return clip(line, maxWarning-len("...")-len(suffix)) + suffix
}
