// Package ruleflags has the flags that set rules about images. The server and the plugin of kubectl
// share them, so that a command line of one means the same for the other.
//
// Errors begin with the flag that is wrong.
package ruleflags

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// Flags are the values of the flags.
type Flags struct {
	Config string // the policy file; empty: none

	// These flags can be repeated, and all values apply.
	mirrors        []string
	disallowedTags []string
	exemptImages   []string

	pullPolicy string
	set        *pflag.FlagSet
}

// Add adds the flags to a set. The values are valid after the set was parsed. The usage of --config
// depends on the program.
func Add(set *pflag.FlagSet, configUsage string) *Flags {
	f := &Flags{set: set}
	set.StringVar(&f.Config, "config", "", configUsage)
	set.StringArrayVar(&f.mirrors, "registry-mirrors", nil, "pull images from mirrors by these comma-separated `rules`:\nPATTERN=MIRROR, PATTERN:MIRROR (without ports), or MIRROR for\ndocker.io; PATTERN is REGISTRY[/PATH], or * for all other\nregistries; MIRROR is HOST[:PORT][/PATH], or empty to keep the\nimages; the longest PATTERN wins (default: no mirrors)")
	set.StringArrayVar(&f.disallowedTags, "disallowed-tags", []string{"latest"}, "deny images with these comma-separated `tags`, unless a digest\npins them; an image without a tag has the tag\nlatest")
	set.StringArrayVar(&f.exemptImages, "exempt-images", nil, "allow all tags for images that match these comma-separated\n`patterns` REGISTRY[/PATH] (default: no images)")
	set.StringVar(&f.pullPolicy, "image-pull-policy", "", "set this `policy` for all images of new pods: Always makes nodes\nask the registry each time a container starts (default: keep\nthe policy of the pod)")
	return f
}

// Given reports whether one of the flags was given.
func (f *Flags) Given() bool {
	return f.Config != "" || len(policy.GivenFlags(f.set.Changed)) > 0
}

// Parse returns the rules of the flags without the policy file.
func (f *Flags) Parse() (policy.Flags, error) {
	rules, err := f.rules()
	return policy.Flags{Rules: rules, Given: policy.GivenFlags(f.set.Changed)}, err
}

// Load returns the rules of the flags and of the policy file.
func (f *Flags) Load() (*admission.Rules, error) {
	flags, err := f.Parse()
	if err != nil {
		return nil, err
	}
	if f.Config == "" {
		return &flags.Rules, validate(flags.Rules)
	}
	content, err := os.ReadFile(f.Config)
	if err != nil {
		return nil, fmt.Errorf("--config: %w: use a file with an %s", err, policy.Kind)
	}
	rules, err := policy.Read(f.Config, content, flags)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return rules, nil
}

// validate returns an error for rules of flags that contradict each other.
func validate(rules admission.Rules) error {
	err := rules.Policy.Validate()
	if item := new(image.ItemError); errors.As(err, &item) {
		return fmt.Errorf("--%s: %w", policy.RuleFlags[item.List], err)
	}
	return err
}

func (f *Flags) rules() (r admission.Rules, err error) {
	const always = podimages.PullAlways
	p := &r.Policy
	if p.Mirrors, err = image.ParseMirrors(joinLists(f.mirrors)); err != nil {
		return r, fmt.Errorf("--registry-mirrors: %w", err)
	}
	if p.Disallowed, err = image.ParseTags(joinLists(f.disallowedTags)); err != nil {
		return r, fmt.Errorf("--disallowed-tags: %w", err)
	}
	if p.Exempt, err = image.ParsePatterns(joinLists(f.exemptImages)); err != nil {
		return r, fmt.Errorf("--exempt-images: %w", err)
	}
	if f.pullPolicy != "" && f.pullPolicy != always {
		return r, fmt.Errorf("--image-pull-policy: invalid policy %q: use %s, or omit the flag to keep the policy of the pod", f.pullPolicy, always)
	}
	r.Changes = admission.Changes{Mirrors: p.Mirrors, AlwaysPull: f.pullPolicy == always}
	return r, nil
}

// joinLists joins the comma-separated values of a repeated flag.
func joinLists(values []string) string { return strings.Join(values, ",") }
