#!/bin/sh
# Runs a command that prints nothing for a long time, and shows its progress.
#
#   scripts/step.sh NAME COMMAND [ARG...]
#
# It prints a line every ten seconds, and one with the time at the end. It prints the
# output of the command only if the command fails.
#
# Examples:
#   # As scripts/verify.sh does
#   scripts/step.sh "compile everything" go build ./...
set -u
# shellcheck source=scripts/shared.sh
. "$(dirname "$0")/shared.sh"
help_or_go_on "$@"
[ $# -ge 2 ] || mistake "expected NAME COMMAND [ARG...]"
needs "$2"

# step_detail LOG sets detail to the last line of the output.
# shellcheck disable=SC2034 # shared.sh uses it
step_detail() { detail=$(tail -n 1 "$1" | cut -c 1-60); }

run_step "$@"
