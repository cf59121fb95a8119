// Command installpackages makes sure that the programs which a script calls are there:
//
//	installpackages "the race detector" gcc=gcc,libc6-dev
//
// The first argument says what they are for. Each further argument names a program and
// the Debian packages that contain it. Missing packages are installed as package apt
// describes; where that is not possible, the error names them.
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
	var requirements []string
	root := cli.New(cli.Text{
		Use:   "installpackages PURPOSE PROGRAM=PACKAGE[,PACKAGE]...",
		Short: "Install the Debian packages of programs that are missing, or say what to install",
		Example: `  # A C compiler, for the race detector
  go run ./tools/cmd/installpackages "to use the race detector" gcc=gcc,libc6-dev`,
	}, stdout, stderr, func(c *cobra.Command) error {
		return apt.Ensure(c.Context(), progress.New(stderr), requirements[0], packages(requirements[1:])...)
	})
	root.Args = func(c *cobra.Command, args []string) error {
		requirements = args
		return check(c, args)
	}
	return root
}

func check(c *cobra.Command, args []string) error {
	if len(args) < 2 {
		return cli.Mistake(c, "write %s", c.Use)
	}
	for _, requirement := range args[1:] {
		if program, names, _ := strings.Cut(requirement, "="); program == "" || names == "" {
			return cli.Mistake(c, "%q is not a requirement: write PROGRAM=PACKAGE[,PACKAGE]", requirement)
		}
	}
	return nil
}

// packages returns the packages of the programs that are not on the PATH.
func packages(requirements []string) []string {
	var missing []string
	for _, requirement := range requirements {
		program, names, _ := strings.Cut(requirement, "=")
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, strings.Split(names, ",")...)
		}
	}
	return missing
}
