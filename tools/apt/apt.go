// Package apt installs the Debian packages that the tools need, where that can
// be done without asking: as root on Debian or Ubuntu, and never in silence.
// Elsewhere it says what to install.
package apt

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// Ensure installs those of packages that are missing; purpose says what for,
// as "to run containers".
func Ensure(ctx context.Context, report *progress.Reporter, purpose string, packages ...string) error {
	missing := Missing(ctx, packages...)
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if !CanInstall() {
		return fmt.Errorf("%s, install %s (Debian's names); as root on Debian or Ubuntu that is done for you", purpose, names)
	}
	report.Note("Installing with apt-get, %s: %s", purpose, names)
	err := report.Step("install "+names, func(step *progress.Step) error { return install(ctx, step, missing) })
	if err != nil {
		return fmt.Errorf("install %s, %s: %w", names, purpose, err)
	}
	return nil
}

// CanInstall says whether this process may install packages with apt-get.
func CanInstall() bool {
	_, err := os.Stat("/etc/debian_version")
	return err == nil && os.Geteuid() == 0
}

// Missing returns those of packages that dpkg does not list as installed.
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

// install refreshes the package lists first: a fresh machine has none. Another
// source of the machine that cannot be reached does not matter as long as the
// packages are found.
func install(ctx context.Context, step *progress.Step, packages []string) error {
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	updated := subprocess.Command{Args: []string{"apt-get", "update"}, Env: env, Progress: step}.Run(ctx)
	args := append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, packages...)
	installed := subprocess.Command{Args: args, Env: env, Progress: step}.Run(ctx)
	if installed != nil && updated != nil {
		return updated // without package lists, installing could not but fail
	}
	return installed
}
