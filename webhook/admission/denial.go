package admission

import (
	"fmt"
	"strings"
)

const (
	// maxShown is the number of violations that a message describes. A pod can have a
	// million containers, and users read only the first few.
	maxShown = 10
	// maxWarning is the maximum size of a warning in bytes. The API server truncates
	// longer ones, and drops the warnings that exceed 4096 bytes in total
	// (k8s.io/apiserver, endpoints/filters/warning.go).
	maxWarning = 256
)

// String returns the message of a denial: one line for a single violation, a list for
// several.
func (v *violations) String() string {
	if v.disallowed.count() == 1 {
		return v.first[0].String()
	}
	var message strings.Builder
	if v.isComplete() {
		message.WriteString("at least ")
	}
	fmt.Fprintf(&message, "%d images are not allowed", v.disallowed.count())
	for _, shown := range v.first {
		message.WriteString("\n- " + shown.String())
	}
	if omitted := v.omitted(); omitted != "" {
		message.WriteString("\n- and " + omitted)
	}
	return message.String()
}

// warnings returns a warning for each violation, each followed by suffix.
func (v *violations) warnings(suffix string) (warnings []string) {
	for _, shown := range v.first {
		warnings = append(warnings, shown.warning(suffix))
	}
	if omitted := v.omitted(); omitted != "" {
		warnings = append(warnings, "and "+omitted+" images are not allowed"+suffix)
	}
	return warnings
}

// omitted returns the number of violations that the message does not describe, or an empty
// string.
func (v *violations) omitted() string {
	omitted := v.disallowed.count() - len(v.first)
	switch {
	case omitted == 0:
		return ""
	case v.isComplete():
		return fmt.Sprintf("at least %d more", omitted)
	}
	return fmt.Sprintf("%d more", omitted)
}

// String returns which field uses which image, why it must not run and what to do.
func (v violation) String() string {
	return v.holder() + v.imageNames() + ": " + v.reason() + ": " + v.remedy()
}

// holder names the container or volume that uses the image. It returns an empty string for
// an ImageReview, which names neither.
func (v violation) holder() string {
	if v.Holder == "" {
		return ""
	}
	return fmt.Sprintf("%s %s (%s) uses ", v.Holder, quote(v.Name), v.Field())
}

func (v violation) imageNames() string {
	if len(v.origins) == 0 {
		return "image " + quote(v.Reference)
	}
	return "image " + alternatives(v.origins) + " (mirrored to " + quote(v.Reference) + ")"
}

// alternatives joins the quoted origins. There are several if mirrors share a path.
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

// warning returns one line of at most maxWarning bytes. It truncates a very long reference.
func (v violation) warning(suffix string) string {
	problem := "invalid image reference"
	if v.tag != nil {
		problem = "use `" + v.tag.Tag + "` tag is not allowed"
	}
	line := fmt.Sprintf("%s: %s %s (%s) has image %s", problem, v.Holder, quote(v.Name), v.Field(), quote(v.likelyName()))
	return clip(line, maxWarning-len("...")-len(suffix)) + suffix
}
