// Command registry is the CNCF registry, github.com/distribution/distribution,
// with what a mirror in a development cluster needs: files as its storage,
// passwords, and the pull-through cache. Its own cmd/registry also holds the
// storage of three clouds, which is most of its size.
//
// It is a module of its own so that the registry's dependencies stay out of
// those of the webhook. A start that fails is one line: the registry's own
// would be a panic with its stack.
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
	registry.RootCmd.SilenceUsage = true // the last line is to say what is wrong
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
