package image

// Rule is a rule that an image can break. The order is that of the violations of one image.
type Rule int

const (
	RuleDenied    Rule = iota // the image is denied by name
	RuleRegistry              // its registry is not allowed
	RuleDigest                // it must have a digest
	RuleTag                   // its tag is disallowed
	RuleNoTag                 // it has no tag, which means the disallowed tag latest
	RuleReference             // its reference is invalid
	rules                     // the number of rules
)

// Rules is the number of rules: all rules are less.
const Rules = int(rules)

// String returns the name of the rule in metrics.
func (r Rule) String() string {
	return [...]string{"denied_image", "registry", "digest", "tag", "no_tag", "invalid_reference"}[r]
}

// Violation is a reason why an image must not run.
type Violation struct {
	Rule     Rule
	Pattern  string // of RuleDenied and RuleDigest; of RuleTag if it has an asterisk
	Tag      string // of RuleTag and RuleNoTag
	Reason   string // of RuleDenied: why; of RuleReference: what is wrong
	Mirrored string // of RuleRegistry: the allowed name on the mirror; empty: there is none
}
