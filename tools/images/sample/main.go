// Command sample is the program of the sample images: a small web server that serves the file
// /www/index.html of its image, which names the image, and volumes that are mounted below /www.
//
//	sample --addr=:80    serve until SIGTERM or SIGINT
//	sample --print       print the page and end, like an init container
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 2 for an invalid command line, 1 for an address in use or a missing
// page.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sample", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints errors itself
	addr := flags.String("addr", ":80", "serve on this `address`")
	root := flags.String("root", "/www", "serve this `directory`")
	printOnly := flags.Bool("print", false, "print the page and end")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "Usage: sample [--addr ADDRESS] [--root DIRECTORY] [--print]")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(stderr, "sample:", err)
		return 2
	}
	if err := serveOrPrint(ctx, *addr, *root, *printOnly, stdout); err != nil {
		fmt.Fprintln(stderr, "sample:", err)
		return 1
	}
	return 0
}

func serveOrPrint(ctx context.Context, addr, root string, printOnly bool, stdout io.Writer) error {
	page, err := os.ReadFile(filepath.Join(root, "index.html"))
	if err != nil {
		return err
	}
	if printOnly {
		_, err := stdout.Write(page)
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: set another address with --addr", err)
	}
	fmt.Fprintf(stdout, "serving on %s: %s", listener.Addr(), page)
	return serve(ctx, listener, root)
}

// serve serves until ctx ends.
func serve(ctx context.Context, listener net.Listener, root string) error {
	server := &http.Server{Handler: http.FileServer(http.Dir(root)), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
