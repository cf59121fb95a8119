// Command installpackages installs the programs that a script needs, if they are missing:
//
//	installpackages "the race detector" gcc=gcc,libc6-dev
//
// The first argument is the purpose, for messages. Each other argument is a program and the Debian
// packages that contain it. If package apt cannot install the packages, the error names them.
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
		Short: "Install the Debian packages of missing programs",
		Example: `  # A C compiler, for the race detector
  go run ./tools/cmd/installpackages "to use the race detector" gcc=gcc,libc6-dev`,
	}, stdout, stderr, func(c *cobra.Command) error {
		return apt.Ensure(c.Context(), progress.New(stderr), requirements[0], missingPackages(requirements[1:])...)
	})
	root.Args = func(c *cobra.Command, args []string) error {
		requirements = args
		return checkArguments(c, args)
	}
	return root
}

func checkArguments(c *cobra.Command, args []string) error {
	if len(args) < 2 {
		return cli.Mistake(c, "missing arguments: use %s", c.Use)
	}
	for _, requirement := range args[1:] {
		if program, names, _ := strings.Cut(requirement, "="); program == "" || names == "" {
			return cli.Mistake(c, "invalid requirement %q: use PROGRAM=PACKAGE[,PACKAGE]...", requirement)
		}
	}
	return nil
}

// missingPackages returns the packages of the programs that are not on the PATH.
func missingPackages(requirements []string) []string {
	var missing []string
	for _, requirement := range requirements {
		program, names, _ := strings.Cut(requirement, "=")
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, strings.Split(names, ",")...)
		}
	}
	return missing
}
