// Command registry is the CNCF registry, github.com/distribution/distribution, with the parts that a
// mirror in a development cluster needs: storage in files, passwords, and the pull-through cache.
// The upstream cmd/registry also contains the storage drivers of three clouds, which are most of
// its size.
//
// It is a separate module, so that its dependencies are not those of the webhook. It prints a
// failed start as one line; the upstream program panics with a stack trace.
package main

import (
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintln(os.Stderr, "registry:", cause)
			os.Exit(1)
		}
	}()
	registry.RootCmd.SilenceUsage = true // the last line must be the error
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
