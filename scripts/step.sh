#!/bin/sh
# Runs a command that is silent for long, and shows that it is alive.
#
#   scripts/step.sh NAME COMMAND [ARG...]
#
# A line every ten seconds, one with the time at the end; the command's output
# only if it failed.
#
# Examples:
#   # As the Makefile does
#   scripts/step.sh "compile the tools" go build -o bin/ ./tools/cmd/cluster
set -u
# shellcheck source=scripts/shared.sh
. "$(dirname "$0")/shared.sh"
help_or_go_on "$@"
[ $# -ge 2 ] || mistake "expected NAME COMMAND [ARG...]"
name=$1
shift
needs "$1"
choose_marks 2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
started=$(date +%s)
elapsed() { echo $(($(date +%s) - started)); }

"$@" >"$log" 2>&1 &
pid=$!
next=10
while kill -0 "$pid" 2>/dev/null; do
	sleep 0.1
	if [ "$(elapsed)" -ge $next ]; then
		detail=$(tail -n 1 "$log" | cut -c 1-60)
		echo "  … $name, ${next}s so far${detail:+: $detail}" >&2
		next=$((next + 10))
	fi
done
wait "$pid"
status=$?
if [ "$status" -ne 0 ]; then
	echo "$failed_mark $name ($(elapsed)s)" >&2
	cat "$log" >&2
	exit "$status"
fi
seconds=$(elapsed)
[ "$seconds" -lt 3 ] || echo "$done_mark $name (${seconds}s)" >&2
