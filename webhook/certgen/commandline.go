package certgen

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Parse returns the command of a command line. Every error is a usage error: one line
// that names the item and the expected form. If the user asked for help, Parse writes
// it to out and returns nil.
func Parse(args []string, out io.Writer) (Command, error) {
	var parsed Command
	root := newRoot(&parsed)
	root.SetArgs(append([]string{}, args...))
	root.SetOut(out)
	root.SetErr(io.Discard)
	err := root.Execute()
	return parsed, err
}

func newRoot(parsed *Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "certgen",
		Short:         "Create the TLS Secret of an admission webhook and register its CA",
		Example:       createExample + "\n\n" + patchExample + "\n\n" + renewExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          rejectUnknownCommand,
		RunE:          func(*cobra.Command, []string) error { return errors.New("no command: use create, patch or renew") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newCreateCommand(parsed), newPatchCommand(parsed), newRenewCommand(parsed))
	return root
}

const (
	createExample = `  # Create the Secret with a certificate for the webhook's Service
  certgen create --host=webhook,webhook.image-webhook.svc --namespace=image-webhook --secret-name=webhook-tls`
	patchExample = `  # Set the CA and, after the API server has got a verdict from the webhook, Fail
  certgen patch --webhook-name=image-webhook --namespace=image-webhook --secret-name=webhook-tls --patch-failure-policy=Fail`
	ignoreExample = `  # Set the failure policy Ignore, which allows requests while no server answers
  certgen patch --webhook-name=image-webhook --namespace=image-webhook --secret-name=webhook-tls --patch-failure-policy=Ignore`
	renewExample = `  # Renew the certificate if it is due, and repair the webhook configurations
  certgen renew --host=webhook,webhook.image-webhook.svc --namespace=image-webhook --secret-name=webhook-tls`
)

func newCreateCommand(parsed *Command) *cobra.Command {
	cmd := newSubcommand("create", "Create the Secret with the keys ca, cert and key, or replace an invalid certificate", createExample)
	addCreateFlags(cmd, func(c Create) error {
		*parsed = c
		return nil
	})
	return cmd
}

func newRenewCommand(parsed *Command) *cobra.Command {
	var timeout time.Duration
	cmd := newSubcommand("renew", "Do what create does, remove unused CAs and repair the webhook configurations", renewExample)
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "wait this long for verdicts of the webhook before Fail\nis set")
	addCreateFlags(cmd, func(c Create) error {
		*parsed = Renew{c, timeout}
		return checkPositive("timeout", timeout)
	})
	return cmd
}

// addCreateFlags adds the flags of Create. Running the command passes their values to run.
func addCreateFlags(cmd *cobra.Command, run func(Create) error) {
	var c Create
	var hosts string
	flags := cmd.Flags()
	flags.StringVar(&hosts, "host", "", "issue the certificate for these comma-separated `hosts`:\nDNS names or IP addresses (required)")
	flags.StringVar(&c.Namespace, "namespace", "", "use the Secret in this `namespace` (required)")
	flags.StringVar(&c.SecretName, "secret-name", "", "create or repair the Secret with this `name` (required)")
	flags.StringVar(&c.Kubeconfig, "kubeconfig", "", kubeconfigUsage)
	flags.DurationVar(&c.Validity, "validity", defaultValidity, "let a new certificate be valid for this long; it is\nreplaced when a quarter of the time is left")
	flags.DurationVar(&c.Settle, "settle", defaultSettle, "use a new certificate after all API servers have had\nits CA for this long")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := checkRequired(cmd, "host", "namespace", "secret-name"); err != nil {
			return err
		}
		if err := checkPositive("validity", c.Validity); err != nil {
			return err
		}
		if c.Settle < 0 {
			return fmt.Errorf("--settle: invalid duration %q: use a duration such as 60s", c.Settle)
		}
		if c.Hosts, err = parseHosts(hosts); err != nil {
			return err
		}
		return run(c)
	}
}

func checkPositive(flag string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("--%s: invalid duration %q: use a positive duration such as 60s", flag, d)
	}
	return nil
}

func newPatchCommand(parsed *Command) *cobra.Command {
	var p Patch
	var common, validating, mutating policyFlag
	cmd := newSubcommand("patch", "Set the CA of the Secret, then the failure policy, in the webhook configurations", patchExample+"\n\n"+ignoreExample)
	flags := cmd.Flags()
	flags.StringVar(&p.WebhookName, "webhook-name", "", "patch the webhook configurations with this\n`name` (required)")
	flags.StringVar(&p.Namespace, "namespace", "", "use the Secret in this `namespace` (required)")
	flags.StringVar(&p.SecretName, "secret-name", "", "read the CA from the Secret with this `name`\n(required)")
	flags.StringVar(&p.Kubeconfig, "kubeconfig", "", kubeconfigUsage)
	flags.BoolVar(&p.Validating.Selected, "patch-validating", true, "patch the validating configuration")
	flags.BoolVar(&p.Mutating.Selected, "patch-mutating", true, "patch the mutating configuration")
	flags.Var(&common, "patch-failure-policy", "set this failure policy, Ignore or Fail\n(default: unchanged)")
	flags.Var(&validating, "patch-validating-failure-policy", "set this policy in the validating configuration\n(default: --patch-failure-policy)")
	flags.Var(&mutating, "patch-mutating-failure-policy", "set this policy in the mutating configuration\n(default: --patch-failure-policy)")
	flags.DurationVar(&p.Timeout, "timeout", time.Minute, "wait this long for verdicts of the webhook before\nFail is set")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkRequired(cmd, "webhook-name", "namespace", "secret-name"); err != nil {
			return err
		}
		p.Validating.FailurePolicy = validating.orDefault(common)
		p.Mutating.FailurePolicy = mutating.orDefault(common)
		*parsed = p
		return p.check(validating != "", mutating != "")
	}
	return cmd
}

const kubeconfigUsage = "connect with this kubeconfig `file` (default: the\npod's service account, or outside of a pod the\nfile that kubectl uses)"

// check returns an error for flags that contradict each other, and for an invalid timeout.
func (p Patch) check(hasValidatingPolicy, hasMutatingPolicy bool) error {
	switch {
	case !p.Validating.Selected && !p.Mutating.Selected:
		return errors.New("--patch-validating=false and --patch-mutating=false leave nothing to patch: set one of them to true")
	case hasValidatingPolicy && !p.Validating.Selected:
		return errors.New("--patch-validating-failure-policy needs --patch-validating=true")
	case hasMutatingPolicy && !p.Mutating.Selected:
		return errors.New("--patch-mutating-failure-policy needs --patch-mutating=true")
	}
	return checkPositive("timeout", p.Timeout)
}

func newSubcommand(name, short, example string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Example: example, Args: rejectArguments, DisableFlagsInUseLine: true}
}

func rejectUnknownCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown command %q: use create, patch or renew", args[0])
	}
	return nil
}

func rejectArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: unexpected argument %q: use only flags", cmd.Name(), args[0])
	}
	return nil
}
