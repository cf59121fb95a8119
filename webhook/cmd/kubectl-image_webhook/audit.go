package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/audit"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
	"github.com/image-webhook/image-webhook/webhook/status"
)

const auditExamples = `  # Say what would be refused in the mode deny, by the policy of the cluster
  kubectl image-webhook audit

  # Do the same for one namespace, with remedies and with each mirrored image
  kubectl image-webhook audit --namespace=shop --output=wide

  # Try another policy before you install it
  kubectl image-webhook audit --config=policy.yaml

  # Print which images are mirrored to where
  kubectl image-webhook audit --output=json | jq -r '.mirrored[] | select(.from) | "\(.from) \(.to)"'`

// Errors of an audit, which the output explains.
var (
	errRefused    = errors.New("images would be refused")
	errIncomplete = errors.New("a part of the cluster could not be read")
)

// auditOptions holds the flags of the verb audit.
type auditOptions struct {
	output string
	rules  *ruleflags.Flags
}

func newAudit() *cobra.Command {
	var o auditOptions
	var c *connection
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Say which pods of a cluster would be refused, and which images are mirrored",
		Long: `Say which pods of a cluster would be refused if they were created today in the mode deny, and
which images are mirrored to where.

The output has a row for each image of an owner that breaks the rules. The owner is what you must
change: the Deployment, not its pods. Templates of workloads without pods are audited too. PODS is
the number of running pods with the image, and the last lines say for each mode how many pods would
be refused. Those in the mode warn would be refused after a switch to deny.

The rules are those of the installed webhook, or of the flags --config, --registry-mirrors,
--disallowed-tags and --exempt-images. Namespaces for which no webhook is ever called, such as
kube-system, are not audited.

The exit code is 0 if nothing would be refused in any namespace, 1 if something would be, and 2 if a
part of the cluster could not be read. The command changes nothing in the cluster.`,
		Example: auditExamples,
		Args:    rejectArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return o.run(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	c = newConnection(cmd.Flags(), "Audit only this namespace (default: all namespaces)")
	o.rules = ruleflags.Add(cmd.Flags(), "use the rules of this policy `file` (default: the policy of the\ninstalled webhook)")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "print the result in this `format`: wide or json (default: text)")
	return cmd
}

func (o *auditOptions) check() error {
	switch o.output {
	case "", "wide", "json":
		return nil
	}
	return fmt.Errorf("--output: invalid format %q: use wide or json, or omit the flag", o.output)
}

func (o *auditOptions) run(ctx context.Context, c *connection, out, progress io.Writer) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	result, err := o.audit(ctx, config, c.namespace(), progress)
	if err != nil {
		return err
	}
	if o.output == "json" {
		err = result.PrintJSON(out)
	} else {
		err = result.Print(out, o.output == "wide")
	}
	switch {
	case err != nil:
		return err
	case len(result.Problems) > 0:
		return errIncomplete
	case len(result.Findings) > 0:
		return errRefused
	}
	return nil
}

func (o *auditOptions) audit(ctx context.Context, config *rest.Config, namespace string, progress io.Writer) (*audit.Result, error) {
	rules, source, err := o.givenRules()
	if err != nil {
		return nil, err
	}
	installed, err := status.ReadInstalled(ctx, config)
	if err != nil {
		return nil, err
	}
	if rules == nil {
		if rules, source, err = installed.Policy(ctx); err != nil {
			return nil, fmt.Errorf("cannot read the policy of the cluster: %w: use --config with a policy file", err)
		}
	}
	show, clean := podProgress(progress)
	defer clean()
	return audit.Run(ctx, audit.Options{
		Config: config, Namespace: namespace, Rules: rules, Policy: source,
		Assumed: installed.Assumed, Scope: installed.Scope, Progress: show,
	})
}

// givenRules returns the rules of the flags and where they are from; nil: there are none.
func (o *auditOptions) givenRules() (*admission.Rules, string, error) {
	if !o.rules.Given() {
		return nil, "", nil
	}
	rules, err := o.rules.Load()
	if err != nil || rules.Version == "" {
		return rules, "flags of the command line", err
	}
	return rules, fmt.Sprintf("%s, version %s", o.rules.Config, rules.Version), nil
}

// podProgress returns a function that shows how many pods were read, and one that removes the text. They
// do nothing unless out is a terminal.
func podProgress(out io.Writer) (show func(pods int), clean func()) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	const eraseLine = "\r\033[K"
	return func(pods int) { fmt.Fprintf(out, "%sread %s", eraseLine, audit.Count(pods, "pod")) },
		func() { fmt.Fprint(out, eraseLine) }
}
