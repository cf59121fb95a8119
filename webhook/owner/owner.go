// Package owner says who owns a namespace. Its functions are pure: they know neither
// AdmissionReviews nor the API of Kubernetes, and read nothing.
//
// An annotation of the namespace contains the user name of the owner, byte for byte. A label
// contains the tenancy of the namespace: it is pending until the controller has given the
// owner rights and a quota, and ready from then on. The policies of
// deploy/namespace-owner/02-policies.yaml guard both.
package owner

import (
	"errors"
	"strings"
	"unicode"
)

const (
	// Annotation is the annotation of a namespace that contains the name of its owner.
	Annotation = "image-webhook.dev/owner"
	// TenancyLabel is the label of a namespace with an owner. Its value is Pending or Ready.
	TenancyLabel = "image-webhook.dev/tenancy"
	// Pending means that the owner has no rights yet, and that nobody can use the namespace.
	Pending = "pending"
	// Ready means that the owner has rights and that the quota is in force.
	Ready = "ready"
	// Condition is the condition of a namespace that says whether its owner has rights.
	Condition = "image-webhook.dev/OwnerBound"
)

// Anonymous is the name of requests without authentication
// (k8s.io/apiserver/pkg/authentication/user).
const Anonymous = "system:anonymous"

// Check returns an error if a name cannot own a namespace. All other names can: a user name
// is any text, such as "oidc:Zoë/team a".
func Check(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case name == Anonymous:
		return errors.New("a request without authentication cannot own a namespace")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("the name contains a control character")
	}
	return nil
}
