// Command links checks the links between the Markdown files of this checkout: a relative
// link must lead to an existing file or directory, and a fragment to a heading, with GitHub's
// anchor. It checks neither links to other sites nor links in HTML.
//
// It prints one line for each dead link, and exits with 1 if there is one.
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
		Short: "Check the links between the Markdown files of this checkout",
		Example: `  # As "make verify" does
  go run ./tools/cmd/links`,
	}, stdout, stderr, func(*cobra.Command) error { return run(os.DirFS("."), stdout) })
}

// errDead is the error of a run that found dead links.
var errDead = errors.New("there are dead links")

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
