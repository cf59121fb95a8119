package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
	"github.com/image-webhook/image-webhook/webhook/staticpolicy"
	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

const policyExamples = `  # Deny and mirror without a webhook
  kubectl image-webhook policy --config=policy.yaml | kubectl apply -f -

  # Only deny, and let the webhook mirror
  kubectl image-webhook policy --config=policy.yaml --validating

  # Only deny, on Kubernetes 1.35
  kubectl image-webhook policy --config=policy.yaml --validating --for=1.35

  # Write files for control-plane nodes
  kubectl image-webhook policy --config=policy.yaml --static=image-webhook

  # Write the mirrors for containerd on nodes
  kubectl image-webhook policy --config=policy.yaml --hosts-toml=certs.d`

// policyOptions holds the flags of the verb policy.
type policyOptions struct {
	rules      *ruleflags.Flags
	release    string
	validating bool
	hostsTOML  string // empty: write objects
	static     *staticFlags
}

func newPolicy() *cobra.Command {
	var o policyOptions
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write a policy file as policies of the API server",
		Long: `Write a policy file as ValidatingAdmissionPolicy and MutatingAdmissionPolicy objects, with
which the API server denies and mirrors images itself.

The objects have the namespaces, the modes and the words of the webhook. The command refuses a policy
that they cannot express. It measures what the API server charges for a pod with 100 images, and
writes that to standard error. It asks a cluster only with --verify.

With --static, it writes the objects as files that the API server reads itself, with a policy that
protects image-webhook's objects in the API. With --hosts-toml, it writes the mirrors as files for
containerd instead.`,
		Example: policyExamples,
		Args:    rejectArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	o.rules = ruleflags.Add(f, configUsage)
	f.StringVar(&o.release, "for", "", "write objects for this Kubernetes `version` and newer ones\n(default: "+celpolicy.Complete.Oldest().String()+", with --validating "+celpolicy.Hybrid.Oldest().String()+")")
	f.BoolVar(&o.validating, "validating", false, "write only the policy that denies, for the hybrid form: the\nwebhook mirrors and warns")
	f.StringVar(&o.hostsTOML, "hosts-toml", "", hostsTOMLUsage)
	o.static = addStaticFlags(f)
	return cmd
}

// check returns an error if the flags contradict each other.
func (o policyOptions) check(flags *pflag.FlagSet) error {
	static := o.static.directory != ""
	switch {
	case o.hostsTOML != "" && (o.validating || flags.Changed("for")):
		return errors.New("--hosts-toml writes no objects of the API server: omit --validating and --for")
	case o.hostsTOML != "" && static:
		return errors.New("--hosts-toml and --static write different files: run the command once for each")
	case o.validating && static && !flags.Changed("static-webhook"):
		return errors.New("--static writes all policies: omit --validating, or add --static-webhook")
	}
	return o.static.check(flags)
}

func (o policyOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	form := celpolicy.Complete
	if o.validating {
		form = celpolicy.Hybrid
	}
	release := form.Oldest()
	if o.static.directory != "" {
		release = staticpolicy.Oldest
	}
	if o.release != "" {
		var err error
		if release, err = utilversion.ParseGeneric(o.release); err != nil {
			return fmt.Errorf("--for: invalid version %q: use a version such as %s", o.release, form.Oldest())
		}
	}
	if err := o.static.checkRelease(release); err != nil {
		return err
	}
	rules, err := o.rules.Load()
	if err != nil {
		return err
	}
	if o.hostsTOML != "" {
		return writeHostsTOML(rules, o.hostsTOML, stdout, stderr)
	}
	webhook, err := o.static.registration(o.validating)
	if err != nil {
		return err
	}
	objects := &celpolicy.Objects{}
	if webhook == nil || webhook.Hybrid {
		if objects, err = newObjects(rules, celpolicy.Options{Form: form, For: release}, stderr); err != nil {
			return err
		}
	}
	if o.static.directory != "" {
		return o.static.write(ctx, objects, webhook, rules.Version, stdout, stderr)
	}
	if err := write(objects, rules, release, stdout); err != nil {
		return fmt.Errorf("cannot write the policies: %w", err)
	}
	return nil
}

// newObjects returns the objects for the rules, and prints what a pod costs.
func newObjects(rules *admission.Rules, options celpolicy.Options, stderr io.Writer) (*celpolicy.Objects, error) {
	objects, err := celpolicy.New(rules, options)
	if err != nil {
		return nil, err
	}
	cost, err := objects.Measure(rules, options.For)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(stderr, costText(cost))
	return objects, err
}

// write writes the objects after a comment that says what they are made from.
func write(objects *celpolicy.Objects, rules *admission.Rules, release *utilversion.Version, out io.Writer) error {
	source := "the flags of kubectl image-webhook policy"
	if rules.Version != "" {
		source = "version " + rules.Version + " of a policy file"
	}
	_, err := fmt.Fprintf(out, "# Written by kubectl image-webhook policy from %s, for Kubernetes %s and newer.\n# Do not edit: change the policy and run the command again.\n", source, release)
	if err != nil {
		return err
	}
	return objects.Write(out)
}

// costText returns what the API server charges for a pod.
func costText(cost celpolicy.Cost) string {
	text := fmt.Sprintf("estimated cost of a pod with %d images: %s to deny it", celpolicy.MeasuredImages, terminaltext.Number(int(cost.Deny)))
	if cost.Mirror > 0 {
		text += fmt.Sprintf(", %s to mirror it", terminaltext.Number(int(cost.Mirror)))
	}
	return text + fmt.Sprintf(" (limit for each: %s)", terminaltext.Number(celpolicy.CostLimit))
}
