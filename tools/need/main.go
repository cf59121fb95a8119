// Command need makes sure that the programs a Makefile target calls are there:
//
//	need "the race detector" gcc=gcc,libc6-dev
//
// names what for, then each program with the Debian packages that bring it. What
// is missing is installed as package apt says; else the message names it.
package main

import (
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/cli"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() { cli.Main(newRoot) }

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var needs []string
	root := cli.New(cli.Text{
		Use:   "need PURPOSE PROGRAM=PACKAGE[,PACKAGE]...",
		Short: "Install the Debian packages of programs that are missing, or say what to install",
		Example: `  # A C compiler, for the race detector
  bin/need "to use the race detector" gcc=gcc,libc6-dev`,
	}, stdout, stderr, func(c *cobra.Command) error {
		return apt.Ensure(c.Context(), progress.New(stderr), needs[0], packages(needs[1:])...)
	})
	root.Args = func(c *cobra.Command, args []string) error {
		needs = args
		return check(c, args)
	}
	return root
}

func check(c *cobra.Command, args []string) error {
	if len(args) < 2 {
		return cli.Mistake(c, "write %s", c.Use)
	}
	for _, need := range args[1:] {
		if program, names, _ := strings.Cut(need, "="); program == "" || names == "" {
			return cli.Mistake(c, "%q is no need: write PROGRAM=PACKAGE[,PACKAGE]", need)
		}
	}
	return nil
}

// packages returns the packages of the programs that are not on the PATH.
func packages(needs []string) []string {
	var missing []string
	for _, need := range needs {
		program, names, _ := strings.Cut(need, "=")
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, strings.Split(names, ",")...)
		}
	}
	return missing
}
