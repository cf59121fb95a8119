// Command loadtest measures the webhook and compares it with other programs.
//
//	loadtest handlers    compare its HTTP handlers with others
//	loadtest apiserver   compare the forms of an installation in an API server
//
// See the packages loadtest and admissioncost.
package main

import (
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/loadtest"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := cli.New(cli.Text{
		Use:   "loadtest",
		Short: "Measure the webhook and compare it with other programs",
		Example: `  # Compare its HTTP handlers with others
  bin/loadtest handlers

  # Compare the forms of an installation in an API server
  bin/loadtest apiserver`,
	}, stdout, stderr, func(c *cobra.Command) error { return c.Help() })
	addHandlers(root, stdout, stderr)
	addAPIServer(root, stdout, stderr)
	addServe(root, stderr)
	return root
}

// addServe adds the verb of the server processes that `handlers` starts.
func addServe(root *cobra.Command, stderr io.Writer) {
	var contender, certFile, keyFile string
	verb := cli.AddVerb(root, cli.Text{Use: "serve", Short: "Serve a contender: the process that `handlers` starts"}, func(c *cobra.Command) error {
		return loadtest.Serve(c.Context(), contender, certFile, keyFile, stderr)
	})
	verb.Hidden = true
	f := verb.Flags()
	f.StringVar(&contender, "contender", "", "serve the contender with this `name`")
	f.StringVar(&certFile, "tls-cert", "", "read the certificate from this PEM `file`")
	f.StringVar(&keyFile, "tls-key", "", "read the private key from this PEM `file`")
}

// checkPositive returns a Mistake for the first flag, by name, whose value is not above zero.
func checkPositive(c *cobra.Command, values map[string]int64) error {
	for _, flag := range slices.Sorted(maps.Keys(values)) {
		if values[flag] <= 0 {
			return cli.Mistake(c, "invalid --%s=%s: use a value above zero", flag, c.Flag(flag).Value)
		}
	}
	return nil
}
