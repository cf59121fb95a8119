// Image builds the container image of image-webhook, without a daemon and
// without a base image, into an archive that kind, docker and podman load.
//
// The image holds two static programs, /image-webhook and /certgen. Its
// entrypoint is /certgen: the Jobs of deploy/ give arguments only, so that the
// retired kube-webhook-certgen and this image are exchangeable there. The
// Deployment says `command: ["/image-webhook"]`.
//
// The path, the two references and the size go to standard output, one a line;
// progress goes to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/image/archive"
	"github.com/image-webhook/image-webhook/tools/module"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 2 for a command line that is not understood, 1
// for an image that could not be built.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "image: %v: see image --help\n", err)
		return 2
	}
	if err := build(ctx, options, stdout, stderr); err != nil {
		return command.Print(stderr, "image", err)
	}
	return 0
}

func parse(args []string, help io.Writer) (archive.Options, error) {
	var options archive.Options
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is printed once, by run
	flags.StringVar(&options.Arch, "arch", "", "architecture, as Go names it: amd64, arm64 (default: this machine's)")
	flags.StringVar(&options.Output, "output", "", "the archive to write (default: in the user's cache folder)")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(help)
		fmt.Fprintln(help, "Usage: image [--arch ARCH] [--output FILE]")
		flags.PrintDefaults()
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return options, err
}

func build(ctx context.Context, options archive.Options, stdout, stderr io.Writer) (err error) {
	if options.Root, err = module.Root(ctx); err != nil {
		return err
	}
	image, err := archive.Build(ctx, options, progress.New(stderr))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\n%s\n%s\n%.1f MiB\n", image.Path, image.StaticRef, image.ContentRef, float64(image.Size)/(1<<20))
	return nil
}
