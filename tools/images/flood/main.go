// Command flood sends a TLS server more than it can want: idle connections, handshakes and
// requests that never end, and reviews without a pause. `make chaos` runs it in pods, to show
// that the webhook still answers the API server. It trusts any certificate.
//
//	flood --address=webhook.image-webhook.svc:443 --idle=4000 --reviews=64 --for=1m
//
// At the end, or after SIGTERM or SIGINT, it prints one line per kind of connection. The exit
// code is 2 for an invalid command line, else 0.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("flood", flag.ContinueOnError)
	flags.SetOutput(stderr)
	address := flags.String("address", "", "send everything to this `HOST:PORT`")
	lasts := flags.Duration("for", time.Minute, "stop after this `time`")
	connections := make([]int, len(kinds))
	for i, k := range kinds {
		flags.IntVar(&connections[i], k.name, 0, k.usage)
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *address == "" || flags.NArg() > 0:
		fmt.Fprintln(stderr, "flood: --address is required, and there are no arguments: see --help")
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *lasts)
	defer cancel()
	for i, f := range flood(ctx, *address, connections) {
		if connections[i] > 0 {
			fmt.Fprintf(stdout, "%s: %d connections opened, %d failed to open, %s\n", kinds[i].name, f.opened.Load(), f.failed.Load(), f.statuses())
		}
	}
	return 0
}
