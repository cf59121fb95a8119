// Package apt installs the Debian packages that the tools need, as root on Debian or Ubuntu,
// and prints their names. Otherwise it returns an error that names them. It does not know
// the tools.
package apt

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Ensure installs the missing packages. Its messages contain purpose, such as "to run
// containers".
func Ensure(ctx context.Context, report *progress.Reporter, purpose string, packages ...string) error {
	missing := Missing(ctx, packages...)
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if !CanInstall() {
		return fmt.Errorf("install %s %s: only root on Debian or Ubuntu can do this automatically: "+
			"install the packages (these are Debian's names) yourself", names, purpose)
	}
	report.Note("Installing %s with apt-get %s.", names, purpose)
	err := report.Step("install "+names, func(step *progress.Step) error { return install(ctx, step, missing) })
	if err != nil {
		return fmt.Errorf("install %s %s: %w", names, purpose, err)
	}
	return nil
}

// CanInstall reports whether this process may install packages with apt-get.
func CanInstall() bool {
	_, err := os.Stat("/etc/debian_version")
	return err == nil && os.Geteuid() == 0
}

// Missing returns the packages that dpkg does not list as installed.
func Missing(ctx context.Context, packages ...string) []string {
	var missing []string
	for _, name := range packages {
		status, err := subprocess.Command{Args: []string{"dpkg-query", "-W", "-f", "${db:Status-Status}", name}}.Output(ctx)
		if err != nil || status != "installed" {
			missing = append(missing, name)
		}
	}
	return missing
}

// install updates the package lists first, because a new machine has none. It returns the
// error of the update only if the installation fails too: other sources may have the packages.
func install(ctx context.Context, step *progress.Step, packages []string) error {
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	updateErr := subprocess.Command{Args: []string{"apt-get", "update"}, Env: env, Progress: step}.Run(ctx)
	args := append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, packages...)
	installErr := subprocess.Command{Args: args, Env: env, Progress: step}.Run(ctx)
	if installErr != nil && updateErr != nil {
		return updateErr // the cause: without package lists, no package is found
	}
	return installErr
}
