package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// addJSONOutput adds the flag --output of a verb that writes text or JSON.
func addJSONOutput(f *pflag.FlagSet, output *string) {
	f.StringVarP(output, "output", "o", "", "print the report in this `format`: json (default: text)")
}

func checkJSONOutput(output string) error {
	if output != "" && output != "json" {
		return fmt.Errorf("--output: invalid format %q: use json, or omit the flag", output)
	}
	return nil
}

// isColored reports whether output may have colors: see https://no-color.org.
func isColored(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
