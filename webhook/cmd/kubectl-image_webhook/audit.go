package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/askmirrors"
	"github.com/image-webhook/image-webhook/webhook/audit"
	"github.com/image-webhook/image-webhook/webhook/ruleflags"
	"github.com/image-webhook/image-webhook/webhook/status"
	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

const auditExamples = `  # Say what would be refused in the mode deny, by the policy of the cluster
  kubectl image-webhook audit

  # Do the same for one namespace, with remedies and with each mirrored image
  kubectl image-webhook audit --namespace=shop --output=wide

  # Try another policy before you install it
  kubectl image-webhook audit --config=policy.yaml

  # Print which images are mirrored to where
  kubectl image-webhook audit --output=json | jq -r '.mirrored[] | select(.from) | "\(.from) \(.to)"'`

// auditOptions holds the flags of the verb audit.
type auditOptions struct {
	output string
	rules  *ruleflags.Flags
	ask    bool
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

The exit code is 0 if nothing would be refused in any namespace, 1 if something would be or if a
mirror does not have an image, and 2 if something could not be read. The command changes nothing in
the cluster.`,
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
	o.rules = addRules(cmd.Flags(), "use the rules of this policy `file` (default: the policy of the\ninstalled webhook)")
	addAskMirrors(cmd.Flags(), &o.ask)
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

func (o *auditOptions) run(ctx context.Context, c *connection, out, stderr io.Writer) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	line := newProgress(stderr)
	defer line.clear()
	out = line.before(out)
	result, err := o.audit(ctx, config, c.namespace(), line)
	if err != nil {
		return err
	}
	if o.ask {
		if err := addMissing(ctx, result, line); err != nil {
			return err
		}
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
		return exitUsage
	case len(result.Findings) > 0 || len(result.Missing) > 0:
		return exitFailure
	}
	return nil
}

func (o *auditOptions) audit(ctx context.Context, config *rest.Config, namespace string, line *progress) (*audit.Result, error) {
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
	return audit.Run(ctx, audit.Options{
		Config: config, Namespace: namespace, Rules: rules, Policy: source,
		Assumed: installed.Assumed, Scope: installed.Scope, Progress: func(pods int) { line.show("read %s", terminaltext.Count(pods, "pod")) },
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

// addMissing asks the mirrors for the images of the cluster, and adds what is missing to the result.
func addMissing(ctx context.Context, r *audit.Result, line *progress) error {
	var pairs []askmirrors.Pair
	for _, p := range r.Pairs() {
		pairs = append(pairs, askmirrors.Pair(p))
	}
	missing, failed, err := askMirrors(ctx, pairs, line)
	for _, i := range missing {
		r.Missing = append(r.Missing, audit.Pair(pairs[i]))
	}
	for _, u := range failed {
		r.Problems = append(r.Problems, audit.Problem{Message: u.String()})
	}
	return err
}
