package cli

import (
	"context"
	"io"
	"regexp"

	"github.com/spf13/cobra"
)

// Named is the command line of a tool whose verbs work on a named object, such as a cluster.
// The flag --name chooses the object.
type Named struct {
	Root *cobra.Command
	name string
}

// NewNamed returns a command line without verbs. The flag --name has the help text usage and
// the default defaultName.
func NewNamed(text Text, defaultName, usage string, stdout, stderr io.Writer) *Named {
	n := &Named{Root: newWithVerbs(text, stdout, stderr)}
	n.Root.PersistentFlags().StringVar(&n.name, "name", defaultName, usage)
	return n
}

// AddVerb adds a verb without arguments, which calls run with a valid name.
func (n *Named) AddVerb(text Text, run func(ctx context.Context, name string) error) *cobra.Command {
	return AddVerb(n.Root, text, func(c *cobra.Command) error {
		if err := CheckName(c, n.name); err != nil {
			return err
		}
		return run(c.Context(), n.name)
	})
}

// validName matches names that are safe for a directory and valid for a kind cluster.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// CheckName returns a Mistake for an invalid value of the flag --name.
func CheckName(c *cobra.Command, value string) error {
	if !validName.MatchString(value) {
		return Mistake(c, "invalid name %q: use at most 40 lower-case letters, digits and dashes", value)
	}
	return nil
}
