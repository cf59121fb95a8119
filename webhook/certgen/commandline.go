package certgen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Parse reads a command line. Every error is one of usage, in one line that
// names the item and the form expected. A nil Command without an error means
// that help was asked for and written to out.
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
		Short:         "Make the TLS Secret of an admission webhook and hand its CA to the API server",
		Example:       createExample + "\n\n" + patchExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(*cobra.Command, []string) error { return errors.New("no command: use create or patch") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(createCommand(parsed), patchCommand(parsed))
	return root
}

const (
	createExample = `  # The Secret with a certificate for the webhook's Service
  certgen create --host=webhook,webhook.image-webhook.svc --namespace=image-webhook --secret-name=webhook-tls`
	patchExample = `  # The API server trusts the webhook, and once that answers, nothing passes it by
  certgen patch --webhook-name=image-webhook --namespace=image-webhook --secret-name=webhook-tls --patch-failure-policy=Fail`
	ignoreExample = `  # Pods are let in while no webhook answers
  certgen patch --webhook-name=image-webhook --namespace=image-webhook --secret-name=webhook-tls --patch-failure-policy=Ignore`
)

func createCommand(parsed *Command) *cobra.Command {
	var c Create
	var hosts string
	cmd := subcommand("create", "Make the Secret with ca, cert and key, or repair one that is not sound", createExample)
	flags := cmd.Flags()
	flags.StringVar(&hosts, "host", "", "names and IP addresses the certificate is for, separated by commas")
	flags.StringVar(&c.Namespace, "namespace", "", "namespace of the Secret")
	flags.StringVar(&c.SecretName, "secret-name", "", "name of the Secret")
	flags.StringVar(&c.Kubeconfig, "kubeconfig", "", kubeconfigUsage)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := required(cmd, "host", "namespace", "secret-name"); err != nil {
			return err
		}
		c.Hosts, err = parseHosts(hosts)
		*parsed = c
		return err
	}
	return cmd
}

func patchCommand(parsed *Command) *cobra.Command {
	var p Patch
	var both, validating, mutating policy
	cmd := subcommand("patch", "Put the Secret's ca into the webhook configurations, then set their failure policy", patchExample+"\n\n"+ignoreExample)
	flags := cmd.Flags()
	flags.StringVar(&p.WebhookName, "webhook-name", "", "name of the webhook configurations")
	flags.StringVar(&p.Namespace, "namespace", "", "namespace of the Secret")
	flags.StringVar(&p.SecretName, "secret-name", "", "name of the Secret")
	flags.StringVar(&p.Kubeconfig, "kubeconfig", "", kubeconfigUsage)
	flags.BoolVar(&p.Validating.Selected, "patch-validating", true, "patch the ValidatingWebhookConfiguration")
	flags.BoolVar(&p.Mutating.Selected, "patch-mutating", true, "patch the MutatingWebhookConfiguration")
	flags.Var(&both, "patch-failure-policy", "failure policy to set, Ignore or Fail (default: unchanged)")
	flags.Var(&validating, "patch-validating-failure-policy", "the same for the validating side alone")
	flags.Var(&mutating, "patch-mutating-failure-policy", "the same for the mutating side alone")
	flags.DurationVar(&p.Timeout, "timeout", time.Minute, "how long the server may take to answer before Fail is given up")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := required(cmd, "webhook-name", "namespace", "secret-name"); err != nil {
			return err
		}
		p.Validating.FailurePolicy = validating.or(both)
		p.Mutating.FailurePolicy = mutating.or(both)
		*parsed = p
		return p.check(validating != "", mutating != "")
	}
	return cmd
}

const kubeconfigUsage = "kubeconfig file (default: the Pod's service account, else as kubectl does)"

// check finds flags that contradict each other.
func (p Patch) check(validatingPolicy, mutatingPolicy bool) error {
	switch {
	case !p.Validating.Selected && !p.Mutating.Selected:
		return errors.New("--patch-validating=false and --patch-mutating=false leave nothing to patch: leave one of them true")
	case validatingPolicy && !p.Validating.Selected:
		return errors.New("--patch-validating-failure-policy needs --patch-validating=true")
	case mutatingPolicy && !p.Mutating.Selected:
		return errors.New("--patch-mutating-failure-policy needs --patch-mutating=true")
	case p.Timeout <= 0:
		return fmt.Errorf("--timeout=%s is not a duration above zero, such as 60s", p.Timeout)
	}
	return nil
}

func subcommand(use, short, example string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Example: example, Args: noArguments, DisableFlagsInUseLine: true}
}

// policy is a flag that is either Ignore or Fail, in just that spelling.
type policy admissionregistrationv1.FailurePolicyType

func (p *policy) String() string { return string(*p) }

func (p *policy) Type() string { return "policy" }

// Set also takes the empty string, which the retired tool's manifests may
// carry for "unchanged".
func (p *policy) Set(s string) error {
	switch s {
	case "", string(admissionregistrationv1.Ignore), string(admissionregistrationv1.Fail):
		*p = policy(s)
		return nil
	}
	return errors.New("not a failure policy")
}

func (p policy) or(other policy) admissionregistrationv1.FailurePolicyType {
	if p == "" {
		p = other
	}
	return admissionregistrationv1.FailurePolicyType(p)
}

// parseHosts splits the list and keeps its order.
func parseHosts(list string) ([]string, error) {
	var hosts []string
	for item := range strings.SplitSeq(list, ",") {
		host := strings.TrimSpace(item)
		if !validHost(host) {
			return nil, fmt.Errorf("--host item %q is neither a DNS name such as webhook.image-webhook.svc nor an IP address", item)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

func validHost(host string) bool {
	return net.ParseIP(host) != nil ||
		len(validation.IsDNS1123Subdomain(host)) == 0 ||
		len(validation.IsWildcardDNS1123Subdomain(host)) == 0
}

// forms says what is expected after a flag, by the type of its value.
var forms = map[string]string{
	"bool":     "true or false",
	"policy":   "Ignore or Fail",
	"duration": "a duration such as 60s",
	"string":   "a value",
}

// examples says what a required flag looks like.
var examples = map[string]string{
	"host":         "--host=webhook,webhook.image-webhook.svc",
	"namespace":    "--namespace=image-webhook",
	"secret-name":  "--secret-name=webhook-tls",
	"webhook-name": "--webhook-name=image-webhook",
}

func required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if cmd.Flag(name).Value.String() == "" {
			return fmt.Errorf("%s: --%s is missing: give it as in %s", cmd.Name(), name, examples[name])
		}
	}
	return nil
}

// flagError puts pflag's complaints into the form of the others.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return fmt.Errorf("%s: --%s=%s is not understood: it takes %s", cmd.Name(), flag.Name, invalid.GetValue(), forms[flag.Value.Type()])
	case errors.As(err, &missing):
		flag := missing.GetFlag()
		return fmt.Errorf("%s: --%s needs a value: it takes %s", cmd.Name(), flag.Name, forms[flag.Value.Type()])
	case errors.Is(err, pflag.ErrHelp):
		return err
	}
	return fmt.Errorf("%s: %w: see %s --help", cmd.Name(), err, cmd.CommandPath())
}

func knownCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown command %q: use create or patch", args[0])
	}
	return nil
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: unexpected argument %q: everything is given by flags", cmd.Name(), args[0])
	}
	return nil
}
