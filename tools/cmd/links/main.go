// Links checks that the links of the Markdown files of this checkout lead somewhere:
// relative ones to a file or folder that is there, those with a fragment to a heading
// of that name, by GitHub's rule. Links to elsewhere are not asked for, so it needs no
// network. What is written in HTML is not looked at.
//
// It prints a line for each link that leads nowhere, and ends with 1 if there is one.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/cli"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	return cli.New(cli.Text{
		Use:   "links",
		Short: "Check that the links of the Markdown files here lead somewhere in this folder",
		Example: `  # As "make verify" does
  go run ./tools/cmd/links`,
	}, stdout, stderr, func(*cobra.Command) error { return run(os.DirFS("."), stdout) })
}

// errDead ends a run that found links that lead nowhere.
var errDead = errors.New("there are links that lead nowhere")

func run(tree fs.FS, stdout io.Writer) error {
	dead, err := check(tree)
	if err != nil {
		return err
	}
	for _, link := range dead {
		fmt.Fprintln(stdout, link)
	}
	if len(dead) > 0 {
		return errDead
	}
	return nil
}
