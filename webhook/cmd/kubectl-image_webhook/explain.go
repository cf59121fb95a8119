package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
)

const explainExamples = `  # Explain what happens to an image of a new pod
  kubectl image-webhook explain nginx --config=policy.yaml

  # Explain why two spellings differ
  kubectl image-webhook explain quay.io/team/app:1 QUAY.IO:443/team/app:1 --registry-mirrors=quay.io=mirror.example/quay`

// explainOptions holds the flags of the verb explain.
type explainOptions struct {
	rules  *ruleflags.Flags
	output string
}

func newExplain() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain IMAGE...",
		Short: "Show how an image is read, which rules match it, and the verdict",
		Long: `Show how an image is read, which rules match it, and the verdict, in the mode deny.

The rules are those of a policy file, or of the flags of image-webhook serve. The exit code is 0
regardless of the verdict. The command asks neither a cluster nor a registry.`,
		Example: explainExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no image: name an image, such as nginx:1.25")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, references []string) error {
			if err := checkJSONOutput(o.output); err != nil {
				return err
			}
			rules, err := o.rules.Load()
			if err != nil {
				return err
			}
			return o.print(rules, references, cmd.OutOrStdout())
		},
	}
	o.rules = addRules(cmd.Flags(), configUsage)
	addJSONOutput(cmd.Flags(), &o.output)
	return cmd
}

// explanation is what explain says about an image.
type explanation struct {
	Image      string               `json:"image"`                // as given
	Registry   string               `json:"registry,omitempty"`   // empty for an invalid image
	Repository string               `json:"repository,omitempty"` // the path in the registry
	Tag        string               `json:"tag,omitempty"`
	Digest     string               `json:"digest,omitempty"`
	Stored     string               `json:"stored"`               // in the pod
	MirrorRule string               `json:"mirrorRule,omitempty"` // because of which it is stored under another name
	Origins    []string             `json:"origins,omitempty"`    // the images that are mirrored to this one
	Exemption  string               `json:"exemption,omitempty"`  // the pattern because of which tags and digests do not matter
	Allowed    bool                 `json:"allowed"`
	Violations []explainedViolation `json:"violations,omitempty"`
}

type explainedViolation struct {
	Rule    string `json:"rule"`
	Pattern string `json:"pattern,omitempty"`
	Reason  string `json:"reason"`
	Remedy  string `json:"remedy"`
}

func explain(rules *admission.Rules, reference string) explanation {
	found := rules.Inspect(reference)
	e := explanation{
		Image: reference, Stored: reference, MirrorRule: found.MirrorRule, Origins: found.Origins,
		Exemption: found.Exemption, Allowed: len(found.Violations) == 0,
	}
	if found.Mirrored != "" {
		e.Stored = found.Mirrored
	}
	if ref, err := image.Parse(reference); err == nil {
		e.Registry, e.Repository, e.Tag, e.Digest = ref.Registry, ref.Path, ref.Tag, ref.Digest
	}
	for _, v := range found.Violations {
		e.Violations = append(e.Violations, explainedViolation{v.Rule.String(), v.Pattern, v.Reason, v.Remedy})
	}
	return e
}

func (o explainOptions) print(rules *admission.Rules, references []string, out io.Writer) error {
	var all []explanation
	for _, reference := range references {
		all = append(all, explain(rules, reference))
	}
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"images": all})
	}
	for i, e := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if _, err := io.WriteString(out, e.String()); err != nil {
			return err
		}
	}
	return nil
}

// String returns the explanation in the form of kubectl describe.
func (e explanation) String() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-13s%s\n", name+":", value) }
	line("Image", fmt.Sprintf("%q", e.Image))
	if e.Registry != "" {
		line("Registry", e.Registry)
		line("Repository", e.Repository)
		line("Tag", e.tagText())
		if e.Digest != "" {
			line("Digest", e.Digest)
		}
	}
	switch {
	case e.MirrorRule != "":
		line("Stored as", fmt.Sprintf("%s (mirror rule %s)", e.Stored, e.MirrorRule))
	case len(e.Origins) > 0:
		line("Stored as", fmt.Sprintf("%s (the mirror of %s)", e.Stored, strings.Join(e.Origins, ", ")))
	case e.Registry != "":
		line("Stored as", e.Stored+" (not mirrored)")
	}
	if e.Exemption != "" {
		line("Exempt", "from rules about tags and digests (pattern "+e.Exemption+")")
	}
	if e.Allowed {
		line("Verdict", "allowed")
		return b.String()
	}
	line("Verdict", "denied")
	for _, v := range e.Violations {
		name := v.Rule
		if v.Pattern != "" {
			name += " (" + v.Pattern + ")"
		}
		line("  Rule", name)
		line("  Reason", v.Reason)
		line("  Fix", v.Remedy)
	}
	return b.String()
}

func (e explanation) tagText() string {
	switch {
	case e.Digest != "" && e.Tag != "":
		return e.Tag + " (ignored: the digest decides)"
	case e.Digest != "":
		return "none (the digest decides)"
	case e.Tag == "":
		return "none, which means latest"
	}
	return e.Tag
}
