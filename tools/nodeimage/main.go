// Command nodeimage builds the kind node image of this project, where no image
// registry can be reached, and prints its reference. See package builder.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/module"
	"github.com/image-webhook/image-webhook/tools/nodeimage/builder"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		fmt.Fprintf(stderr, "nodeimage: unexpected argument %q: it takes none\n", args[0])
		return 2
	}
	ref, err := build(ctx, stderr)
	if err != nil {
		return command.Print(stderr, "nodeimage", err)
	}
	fmt.Fprintln(stdout, ref)
	return 0
}

func build(ctx context.Context, stderr io.Writer) (string, error) {
	root, err := module.Root(ctx)
	if err != nil {
		return "", err
	}
	report := progress.New(stderr)
	e, err := engine.Ensure(ctx, report)
	if err != nil {
		return "", err
	}
	return builder.Build(ctx, root, e, report)
}
