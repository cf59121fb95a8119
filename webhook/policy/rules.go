package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// The fields besides the lists of package image, by their names in the file.
const (
	fieldPullPolicy  = "imagePullPolicy"
	fieldPullSecrets = "imagePullSecrets"
)

// File is a file that was read. Its rules may contradict each other.
type File struct {
	ImagePolicy
	Version string // the first 12 hexadecimal digits of the SHA-256 of the content

	document document
}

// Read returns the rules of a file and the flags. See Parse and File.Rules.
func Read(name string, content []byte, flags Flags) (*admission.Rules, error) {
	f, err := Parse(name, content)
	if err != nil {
		return nil, err
	}
	return f.Rules(flags)
}

// Parse reads a file. The name is used in errors.
func Parse(name string, content []byte) (*File, error) {
	d, err := parse(name, content)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	f := &File{Version: hex.EncodeToString(sum[:])[:12], document: d}
	if err := f.checkKind(); err != nil {
		return nil, err
	}
	if err := d.decode(d.root, "", reflect.ValueOf(&f.ImagePolicy).Elem()); err != nil {
		return nil, err
	}
	return f, nil
}

// checkKind returns an error for a file of another kind, before errors about its fields.
func (f *File) checkKind() error {
	for _, field := range []struct{ name, want string }{{"apiVersion", APIVersion}, {"kind", Kind}} {
		switch node := f.document.value(field.name); {
		case node == nil:
			return f.document.errorAt(f.document.root, "the field %s is missing: add %s: %s", field.name, field.name, field.want)
		case node.Value != field.want:
			return f.document.errorAt(node, "%s is %q: use %s", field.name, node.Value, field.want)
		}
	}
	return nil
}

// Flags are the rules that flags set, which the file extends.
type Flags struct {
	Rules admission.Rules
	Given map[string]string // the flags that were given, such as --registry-mirrors, by the field of the file
}

// RuleFlags are the flags of serve that set a field of the file too, by the name of the field.
var RuleFlags = map[string]string{
	image.ListMirrors: "registry-mirrors",
	image.ListTags:    "disallowed-tags",
	image.ListExempt:  "exempt-images",
	fieldPullPolicy:   "image-pull-policy",
}

// GivenFlags returns the RuleFlags that were given, in the form of Flags.Given.
func GivenFlags(wasGiven func(flag string) bool) map[string]string {
	given := map[string]string{}
	for field, flag := range RuleFlags {
		if wasGiven(flag) {
			given[field] = "--" + flag
		}
	}
	return given
}

// Rules returns the rules of the file and the flags. It returns an error if both have the same field, if
// an item is invalid, or if rules contradict each other.
func (f *File) Rules(flags Flags) (*admission.Rules, error) {
	rules := flags.Rules
	rules.Version = f.Version
	for _, field := range fields {
		node := f.document.value(field.name)
		if node == nil {
			continue
		}
		if flag := flags.Given[field.name]; flag != "" {
			return nil, f.document.errorAt(node, "%s is set by the flag %s too: remove one of them", field.name, flag)
		}
		if err := field.set(&f.ImagePolicy, &rules); err != nil {
			return nil, f.locate(field.name, err)
		}
	}
	rules.Changes.Mirrors = rules.Policy.Mirrors
	if err := rules.Policy.Validate(); err != nil {
		return nil, f.locate("", err)
	}
	if err := f.checkPullSecrets(&rules); err != nil {
		return nil, err
	}
	return &rules, nil
}

// field copies a field of the file to the rules.
type field struct {
	name string
	set  func(*ImagePolicy, *admission.Rules) error
}

var fields = []field{
	{image.ListMirrors, func(p *ImagePolicy, r *admission.Rules) (err error) {
		var list []image.Mirror
		for _, m := range p.Mirrors {
			list = append(list, image.Mirror(m))
		}
		r.Policy.Mirrors, err = image.NewMirrors(list)
		return err
	}},
	{image.ListTags, func(p *ImagePolicy, r *admission.Rules) (err error) {
		r.Policy.Disallowed, err = image.NewTags(p.DisallowedTags)
		return err
	}},
	{image.ListExempt, patterns(image.ListExempt, func(r *admission.Rules) *image.Patterns { return &r.Policy.Exempt }, func(p *ImagePolicy) []string { return p.ExemptImages })},
	{image.ListAllowed, func(p *ImagePolicy, r *admission.Rules) (err error) {
		if len(p.AllowedRegistries) == 0 {
			return errors.New("allowedRegistries is empty, which would deny every image: name registries, or remove the field to allow all of them")
		}
		r.Policy.Allowed, err = image.NewPatterns(image.ListAllowed, p.AllowedRegistries)
		return err
	}},
	{image.ListRequireDigest, patterns(image.ListRequireDigest, func(r *admission.Rules) *image.Patterns { return &r.Policy.RequireDigest }, func(p *ImagePolicy) []string { return p.RequireDigest })},
	{image.ListDenied, func(p *ImagePolicy, r *admission.Rules) (err error) {
		var list []image.DeniedImage
		for _, denied := range p.DeniedImages {
			list = append(list, image.DeniedImage(denied))
		}
		r.Policy.Denied, err = image.NewDenied(list)
		return err
	}},
	{fieldPullPolicy, func(p *ImagePolicy, r *admission.Rules) error {
		if p.ImagePullPolicy != podimages.PullAlways {
			return fmt.Errorf("invalid policy %q: use %s, or remove the field to keep the policy of the pod", p.ImagePullPolicy, podimages.PullAlways)
		}
		r.Changes.AlwaysPull = true
		return nil
	}},
	{fieldPullSecrets, func(p *ImagePolicy, r *admission.Rules) error {
		r.Changes.PullSecrets = p.ImagePullSecrets
		return checkSecretNames(p.ImagePullSecrets)
	}},
}

// patterns returns the function that copies a list of patterns.
func patterns(list string, to func(*admission.Rules) *image.Patterns, from func(*ImagePolicy) []string) func(*ImagePolicy, *admission.Rules) error {
	return func(p *ImagePolicy, r *admission.Rules) (err error) {
		*to(r), err = image.NewPatterns(list, from(p))
		return err
	}
}

// secretName matches the name of a Secret: a DNS subdomain
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names).
var secretName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func checkSecretNames(names []string) error {
	for i, name := range names {
		var err error
		switch {
		case len(name) > 253 || !secretName.MatchString(name):
			err = fmt.Errorf("invalid name %q of a Secret: use at most 253 lower-case letters, digits, dots and dashes", name)
		case slices.Contains(names[:i], name):
			err = fmt.Errorf("the Secret %q is in the list twice: keep one of them", name)
		}
		if err != nil {
			return &image.ItemError{List: fieldPullSecrets, Index: i, Err: err}
		}
	}
	return nil
}

// checkPullSecrets returns an error for Secrets that no pod can get.
func (f *File) checkPullSecrets(rules *admission.Rules) error {
	if len(rules.Changes.PullSecrets) == 0 || len(rules.Policy.Mirrors.Rules()) > 0 {
		return nil
	}
	return f.locate(fieldPullSecrets, errors.New("imagePullSecrets has no effect without mirrors: add a mirror, or remove the field"))
}

// locate adds the place of an item or a field to an error. An item of a flag has no place.
func (f *File) locate(field string, err error) error {
	node := f.document.value(field)
	if item := new(image.ItemError); errors.As(err, &item) {
		node = f.document.item(item.List, item.Index)
	}
	if node == nil {
		return fmt.Errorf("%s: %w", f.document.name, err)
	}
	return f.document.errorAt(node, "%v", err)
}
