package admission

import "github.com/image-webhook/image-webhook/webhook/image"

// Rules are what the handlers decide by. They are never modified. The zero value allows every image
// and changes nothing.
type Rules struct {
	Policy  image.Policy // which images must not run
	Changes Changes      // how pods are changed
	// Version identifies the policy file, for the audit log. Empty: there is none.
	Version string
}

// Source returns the current rules. Several goroutines call it, once for each review.
type Source func() *Rules

// Fixed returns a source of rules that never change.
func Fixed(rules Rules) Source { return func() *Rules { return &rules } }
