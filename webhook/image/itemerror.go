package image

// The lists of a policy, by their names in the policy file.
const (
	ListMirrors       = "mirrors"
	ListTags          = "disallowedTags"
	ListExempt        = "exemptImages"
	ListAllowed       = "allowedRegistries"
	ListRequireDigest = "requireDigest"
	ListDenied        = "deniedImages"
)

// ItemError is an error about an item of a list. Its text names the item.
type ItemError struct {
	List  string
	Index int
	Err   error
}

func (e *ItemError) Error() string { return e.Err.Error() }

func (e *ItemError) Unwrap() error { return e.Err }
