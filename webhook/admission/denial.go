package admission

import (
	"fmt"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
)

const (
	// maxShown is the number of violations that a message describes. A pod can have a
	// million containers, and users read only the first few.
	maxShown = 10
	// maxWarning is the maximum size of a warning in bytes. The API server truncates
	// longer ones, and drops the warnings that exceed 4096 bytes in total
	// (k8s.io/apiserver, endpoints/filters/warning.go).
	maxWarning = 256
	// maxWarnings is the maximum number of warnings about rules. One more says how many images have
	// none.
	maxWarnings = 15
)

// String returns the message of a denial: one line for a single violation, a list for
// several.
func (v *violations) String() string {
	if v.disallowed.count() == 1 {
		return v.first[0].describe(v.policy)
	}
	var message strings.Builder
	if v.isComplete() {
		message.WriteString("at least ")
	}
	fmt.Fprintf(&message, "%d images are not allowed", v.disallowed.count())
	for _, shown := range v.first {
		message.WriteString("\n- " + shown.describe(v.policy))
	}
	if omitted := v.omitted(len(v.first)); omitted != "" {
		message.WriteString("\n- and " + omitted)
	}
	return message.String()
}

// warnings returns a warning for each rule that an image breaks, each followed by suffix. Images whose
// warnings would exceed maxWarnings have none.
func (v *violations) warnings(suffix string) (warnings []string) {
	shown := 0
	for ; shown < len(v.first) && len(warnings)+len(v.first[shown].rules) <= maxWarnings; shown++ {
		for _, broken := range v.first[shown].rules {
			warnings = append(warnings, v.first[shown].warning(broken, suffix))
		}
	}
	if omitted := v.omitted(shown); omitted != "" {
		images := " images are"
		if v.disallowed.count()-shown == 1 {
			images = " image is"
		}
		warnings = append(warnings, "and "+omitted+images+" not allowed"+suffix)
	}
	return warnings
}

// omitted returns the number of violations that are not shown, or an empty string.
func (v *violations) omitted(shown int) string {
	omitted := v.disallowed.count() - shown
	switch {
	case omitted == 0:
		return ""
	case v.isComplete():
		return fmt.Sprintf("at least %d more", omitted)
	}
	return fmt.Sprintf("%d more", omitted)
}

// describe returns which field uses which image, and for each rule that it breaks, why it must not run
// and what to do.
func (v *violation) describe(policy *image.Policy) string {
	var reasons []string
	for _, broken := range v.rules {
		reasons = append(reasons, reasonOf(broken)+": "+v.remedy(broken, policy))
	}
	return v.holder() + v.imageNames() + ": " + strings.Join(reasons, "; ")
}

// holder names the container or volume that uses the image. It returns an empty string for
// an ImageReview, which names neither.
func (v *violation) holder() string {
	if v.Holder == "" {
		return ""
	}
	return fmt.Sprintf("%s %s (%s) uses ", v.Holder, quote(v.Name), v.Field())
}

func (v *violation) imageNames() string {
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

// reasonOf returns why a rule does not allow an image.
func reasonOf(broken image.Violation) string {
	switch broken.Rule {
	case image.RuleDenied:
		return "it is denied (" + Printable(broken.Reason) + ")"
	case image.RuleRegistry:
		if broken.Mirrored != "" {
			return "its registry is not allowed, and it was not mirrored"
		}
		return "its registry is not allowed"
	case image.RuleDigest:
		return "a digest is required"
	case image.RuleNoTag:
		return "no tag means tag " + quote(broken.Tag) + ", which is not allowed because its image can change"
	case image.RuleReference:
		return "invalid reference (" + plain(broken.Reason) + ")"
	}
	return "tag " + quote(broken.Tag) + pattern(broken.Pattern) + " is not allowed because its image can change"
}

// pattern returns the pattern that matches a tag in parentheses, unless the tag matches itself.
func pattern(pattern string) string {
	if pattern == "" {
		return ""
	}
	return " (pattern " + pattern + ")"
}

// remedy returns what to do about a rule.
func (v *violation) remedy(broken image.Violation, policy *image.Policy) string {
	name := v.likelyName()
	switch broken.Rule {
	case image.RuleDenied:
		return "use another image"
	case image.RuleRegistry:
		if broken.Mirrored != "" {
			return "use " + quote(broken.Mirrored)
		}
		return "use an image of " + AllowedRegistries(policy)
	case image.RuleDigest:
		return "use " + name + "@sha256:..."
	case image.RuleReference:
		return "use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST"
	case image.RuleTag:
		name = strings.TrimSuffix(name, ":"+broken.Tag)
	}
	return fmt.Sprintf("use a fixed tag such as %s:1.2.3 or a digest (%s@sha256:...)", name, name)
}

// maxRegistries is the number of registries that a message names.
const maxRegistries = 5

// AllowedRegistries returns the registries that a user can choose from, as text. There is at least one.
func AllowedRegistries(policy *image.Policy) string {
	registries, others := policy.AllowedNames(maxRegistries)
	if others > 0 {
		return fmt.Sprintf("%s or %d more", strings.Join(registries, ", "), others)
	}
	last := len(registries) - 1
	if last == 0 {
		return registries[0]
	}
	return strings.Join(registries[:last], ", ") + " or " + registries[last]
}

// likelyName returns the reference that the user most likely wrote.
func (v *violation) likelyName() string {
	if len(v.origins) == 1 {
		return v.origins[0]
	}
	return v.Reference
}

// warning returns one line of at most maxWarning bytes about a rule. It truncates a very long
// reference.
func (v *violation) warning(broken image.Violation, suffix string) string {
	line := fmt.Sprintf("%s: %s %s (%s) has image %s", problemOf(broken), v.Holder, quote(v.Name), v.Field(), quote(v.likelyName()))
	if broken.Rule == image.RuleDenied {
		line += ": " + Printable(broken.Reason)
	}
	return clip(line, maxWarning-len("...")-len(suffix)) + suffix
}

// problemOf returns the beginning of a warning. The words about tags are those of the article that
// introduced this webhook.
func problemOf(broken image.Violation) string {
	switch broken.Rule {
	case image.RuleDenied:
		return "image is denied"
	case image.RuleRegistry:
		return "registry is not allowed"
	case image.RuleDigest:
		return "digest is required"
	case image.RuleReference:
		return "invalid image reference"
	}
	return "use `" + broken.Tag + "` tag is not allowed"
}
