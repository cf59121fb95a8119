#!/bin/sh
# Compares the Go benchmarks of this checkout with those of another commit, and prints the
# differences with benchstat. It takes about five minutes.
#
#   scripts/benchstat.sh [REF]
#
# REF is the other commit: origin/main by default, or main if there is no origin/main. The
# benchmarks of both run alternately, so that a change of the machine's speed affects both.
# A difference of "~" is not significant.
#
# Examples:
#   # After a change, before you commit it
#   scripts/benchstat.sh HEAD
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
case ${1-} in -*) mistake "unexpected argument \"$1\"" ;; esac
[ $# -le 1 ] || mistake "unexpected argument \"$2\""
needs go
needs git
rounds=6
packages="webhook/admission webhook/image"

# commit_of REF prints the commit of a reference, or fails if it does not exist.
commit_of() { git rev-parse --verify --quiet "$1^{commit}"; }

if [ $# -eq 1 ]; then
	base=$(commit_of "$1") || fail "git does not know the commit \"$1\": fetch it, or use another one"
else
	base=$(commit_of origin/main || commit_of main) ||
		fail "there is neither origin/main nor main: name a commit, as in $0 HEAD"
fi
checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# compile DIRECTORY NAME compiles the benchmarks of the checkout in a directory.
compile() {
	for package in $packages; do
		[ ! -d "$1/$package" ] || # the other commit may have no such package
			scripts/step.sh "compile the benchmarks of $package, $2" \
				go -C "$1" test -c -o "$work/$2-${package##*/}.test" "./$package"
	done
}

# run DIRECTORY NAME runs the benchmarks of the checkout in a directory once.
run() {
	for package in $packages; do
		program=$work/$2-${package##*/}.test
		[ ! -x "$program" ] ||
			(cd "$1/$package" && "$program" -test.run='^$' -test.bench=. -test.cpu=1 -test.benchtime=0.5s) >>"$work/$2"
	done
}

# run_round runs the benchmarks of both once.
run_round() {
	run "$work/checkout" base
	run "$checkout" changed
}

mkdir "$work/checkout"
git archive "$base" | tar -x -C "$work/checkout"
scripts/step.sh "build benchstat" go -C tools/pins/lint build -o "$PWD/bin/" golang.org/x/perf/cmd/benchstat
compile "$work/checkout" base
compile "$checkout" changed
round=0
while [ $round -lt $rounds ]; do
	round=$((round + 1))
	echo "  round $round of $rounds" >&2
	run_round
done
cd "$work"
"$checkout/bin/benchstat" base changed
