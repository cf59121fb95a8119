// Command need makes sure that the programs a Makefile target calls are there:
//
//	need "the race detector" gcc=gcc,libc6-dev
//
// names what for, then each program with the Debian packages that bring it. What
// is missing is installed as package apt says; else the message names it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/command"
	"github.com/image-webhook/image-webhook/tools/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "need: expected PURPOSE PROGRAM=PACKAGE[,PACKAGE]...")
		return 2
	}
	if err := apt.Ensure(ctx, progress.New(os.Stderr), args[0], packages(args[1:])...); err != nil {
		return command.Print(os.Stderr, "need", err)
	}
	return 0
}

// packages returns the packages of the programs that are not on the PATH.
func packages(needs []string) []string {
	var missing []string
	for _, need := range needs {
		program, names, _ := strings.Cut(need, "=")
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, strings.Split(names, ",")...)
		}
	}
	return missing
}
