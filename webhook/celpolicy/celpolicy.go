// Package celpolicy says what a policy file says in the Common Expression Language of the API server: as
// a ValidatingAdmissionPolicy that denies images, and a MutatingAdmissionPolicy that mirrors them. They
// need no server, and have the verdicts, the mirrored names and the words of package admission.
//
// tables.go writes the rules of the policy as constant lists. variables.go reads and judges images with
// these lists: its expressions are the same for every policy. message.go describes a denial, patch.go
// changes pods, objects.go gives the objects the selectors and the conditions of deploy/05, and cost.go
// measures the objects with the API server's own evaluation.
//
// The package refuses what it cannot say; it never omits a rule. It knows no cluster: it returns objects.
package celpolicy

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// Form says which of the objects a cluster needs.
type Form int

const (
	// Complete needs no webhook: policies deny, warn and mirror.
	Complete Form = iota
	// Hybrid has only the policy that denies. The webhooks mirror and warn, and are never required.
	Hybrid
)

// The Kubernetes versions in which the objects are stable:
// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and
// https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/.
// Kubernetes 1.34 is the first version with the CEL functions that the expressions use, and 1.35 the first
// one that accepts them in new objects.
var (
	oldest        = version.MajorMinor(1, 35)
	firstMutating = version.MajorMinor(1, 36)
)

// Options are what the objects depend on besides the rules.
type Options struct {
	Form Form
	For  *version.Version // the oldest Kubernetes version that the objects are for
}

// Oldest returns the oldest Kubernetes version that has all objects of the form.
func (f Form) Oldest() *version.Version {
	if f == Complete {
		return firstMutating
	}
	return oldest
}

// New returns the objects for the rules. It returns an error if the Kubernetes version has no kind of
// object for a rule.
func New(rules *admission.Rules, options Options) (*Objects, error) {
	if options.For.LessThan(oldest) {
		return nil, fmt.Errorf("cannot write policies for Kubernetes %s: it lacks CEL functions: use Kubernetes %s or newer, or the webhook", options.For, oldest)
	}
	if options.Form == Complete && options.For.LessThan(firstMutating) {
		if field := mutatingField(rules); field != "" {
			return nil, fmt.Errorf("cannot write policies for Kubernetes %s: %s needs MutatingAdmissionPolicy, which is not stable there: use Kubernetes %s or newer, or add --validating and let the webhook mirror",
				options.For, field, firstMutating)
		}
	}
	return newObjects(rules, options.Form), nil
}

// mutatingField returns a field of the policy that changes pods, or an empty string.
func mutatingField(rules *admission.Rules) string {
	switch {
	case len(rules.Changes.Mirrors.Rules()) > 0:
		return image.ListMirrors
	case rules.Changes.AlwaysPull:
		return "imagePullPolicy"
	}
	return ""
}
