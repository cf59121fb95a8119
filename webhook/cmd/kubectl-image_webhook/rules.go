package main

import (
	"github.com/spf13/pflag"

	"github.com/image-webhook/image-webhook/webhook/ruleflags"
)

// configUsage is the description of --config.
const configUsage = "read mirrors and rules from this policy `file`, an ImagePolicy"

// addRules adds the flags of rules. The pull policy changes no verdict, so the help does not show its flag:
// it is there for command lines of the server.
func addRules(f *pflag.FlagSet, configUsage string) *ruleflags.Flags {
	flags := ruleflags.Add(f, configUsage)
	if err := f.MarkHidden("image-pull-policy"); err != nil {
		panic(err) // the flag does not exist
	}
	return flags
}
