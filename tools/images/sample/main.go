// Command sample is the program of the sample images: a small web server that
// says which image it runs in, which is what the image's file /www/index.html
// says. Whatever else is mounted below /www is served with it.
//
//	sample --addr=:80    serve until SIGTERM or SIGINT
//	sample --print       print the page and end, as an init container must
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

// run returns the exit code: 2 for a command line that is not understood, 1 for
// an address that cannot be served on or a page that is not there.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sample", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is printed once, below
	addr := flags.String("addr", ":80", "`address` to serve on")
	root := flags.String("root", "/www", "`folder` to serve")
	once := flags.Bool("print", false, "print the page instead, and end")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "Usage: sample [--addr ADDRESS] [--root FOLDER] [--print]")
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
	if err := serveOrPrint(ctx, *addr, *root, *once, stdout); err != nil {
		fmt.Fprintln(stderr, "sample:", err)
		return 1
	}
	return 0
}

func serveOrPrint(ctx context.Context, addr, root string, once bool, stdout io.Writer) error {
	page, err := os.ReadFile(filepath.Join(root, "index.html"))
	if err != nil {
		return err
	}
	if once {
		_, err := stdout.Write(page)
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: --addr names another one", err)
	}
	fmt.Fprintf(stdout, "serving on %s: %s", listener.Addr(), page)
	return serve(ctx, listener, root)
}

// serve returns when ctx ends.
func serve(ctx context.Context, listener net.Listener, root string) error {
	server := &http.Server{Handler: http.FileServer(http.Dir(root)), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
