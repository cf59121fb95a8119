#!/bin/sh
# Runs every fuzz target for FUZZTIME each, 30s unless told otherwise, one after
# the other. An input that fails is written below the package's testdata/fuzz: it
# is a test from then on, to be committed with what mends it.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-30s}
case $time in
*[0-9][smh]) ;;
*)
	echo "FUZZTIME=$time is no duration: write one such as 30s or 10m" >&2
	exit 2
	;;
esac

# show prints some of the progress of `go test -fuzz`, all else that it says, and
# the last line of progress as the result.
show() {
	lines=0
	last=
	while IFS= read -r line; do
		case $line in
		"fuzz: elapsed"*)
			lines=$((lines + 1))
			[ $((lines % 5)) -ne 0 ] || echo "  … $1: ${line#*, }"
			case $line in *execs:*) last="${line#*, }" && last="${last%% (*}${last#*)}" ;; esac # without the rate
			;;
		ok*|PASS) ;;
		FAILED) return 1 ;;
		*) echo "  | $line" ;;
		esac
	done
	echo "✓ $1: ${last:-only the seeds, $time is too short for more}"
}

# fuzz PACKAGE TARGET. Without a bound on minimizing, an input that is merely new
# would take up to a minute of the time.
fuzz() {
	{ go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x 2>&1 || echo FAILED; } | show "$2"
}

# targets lists PACKAGE TARGET, one to a line.
targets() {
	grep -r '^func Fuzz' --include='*_test.go' . | sed 's|^\(.*\)/[^/]*:func \(Fuzz[A-Za-z0-9]*\)(.*|\1 \2|'
}

failed=
while read -r package target; do
	# From an empty cache this compiles for most of a minute. What fails here fails
	# again below, where it is shown.
	scripts/step.sh "compile $target" go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime 1x </dev/null || true
	echo "  $target, $package, for $time"
	fuzz "$package" "$target" </dev/null || { echo "✗ $target" && failed="$failed $target"; }
done <<END
$(targets)
END
if [ -n "$failed" ]; then
	echo "failed:$failed"
	exit 1
fi
