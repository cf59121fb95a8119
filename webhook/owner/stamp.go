package owner

import (
	"fmt"
	"strconv"
)

// Namespace contains the metadata of a new namespace.
type Namespace struct {
	Annotations map[string]string
	Labels      map[string]string
}

// Stamp contains what a new namespace lacks. An empty field means that nothing is missing.
type Stamp struct {
	Owner   string // value of Annotation
	Tenancy string // value of TenancyLabel
}

// StampRequester returns the stamp of a namespace that user creates and therefore owns. It
// returns an error if the namespace names another owner or is not pending. It never replaces
// a value, because the user's tool would apply its own value again and again.
func StampRequester(n Namespace, user string) (Stamp, error) {
	if err := Check(user); err != nil {
		return Stamp{}, fmt.Errorf("user %s cannot own a namespace: %w", strconv.QuoteToASCII(user), err)
	}
	owner, named := n.Annotations[Annotation]
	if named && owner != user {
		return Stamp{}, fmt.Errorf("user %s cannot create a namespace with the owner %s: delete the annotation %s; only users with the verb set-owner on namespaces choose another owner",
			strconv.QuoteToASCII(user), strconv.QuoteToASCII(owner), Annotation)
	}
	stamp, err := StampChosen(n)
	if err == nil && !named {
		stamp.Owner = user
	}
	return stamp, err
}

// StampChosen returns the stamp of a namespace whose creator has chosen the owner. It does
// not check the name of the owner: the policies do.
func StampChosen(n Namespace) (Stamp, error) {
	switch tenancy, labeled := n.Labels[TenancyLabel]; {
	case !labeled:
		return Stamp{Tenancy: Pending}, nil
	case tenancy != Pending:
		return Stamp{}, fmt.Errorf("the label %s of a new namespace must be %q, not %s: delete it from the request, and image-webhook sets it",
			TenancyLabel, Pending, strconv.QuoteToASCII(tenancy))
	}
	return Stamp{}, nil
}
