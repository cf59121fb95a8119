#!/bin/sh
# Measures the time from saving a file until only the new webhook answers, on the cluster of
# `make up install`. It changes the text of a denial in a copy of the checkout, and rolls out
# this checkout again at the end.
#
# Examples:
#   # As `make loop` does
#   scripts/loop.sh
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
no_arguments "$@"
needs go
[ -x bin/cluster ] || fail "bin/cluster does not exist: run \`make loop\`, which compiles it"
environment=$(bin/cluster env)
eval "$environment"
checkout=$PWD
copy=$(mktemp -d)
altered=
trap 'rm -rf "$copy"; [ -z "$altered" ] || restore' EXIT
trap 'exit 130' INT TERM

# now prints the time in milliseconds.
now() { echo $(($(date +%s%N) / 1000000)); }

# restore rolls out this checkout.
restore() {
	cd "$checkout"
	bin/cluster reload
	altered=
}

# denied_with TEXT reports whether the denial of a pod with a latest image contains the text.
denied_with() {
	! answer=$(kubectl run loop --image=nginx:latest --dry-run=server 2>&1) || return 1
	case $answer in *"$1"*) ;; *) return 1 ;; esac
}

cp -R webhook tools deploy go.mod go.sum "$copy"
text="its image can change (asked by $$)"
cd "$copy"
started=$(now)
sed -i "s/its image can change/$text/" webhook/admission/denial.go
grep -q "$text" webhook/admission/denial.go ||
	fail "webhook/admission/denial.go does not contain 'its image can change', which this script replaces: change one of them"
altered=1
"$checkout/bin/cluster" reload
tries=0
until denied_with "$text"; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || fail "the new webhook does not answer: the last answer was: $answer"
	sleep 0.1
done
took=$(($(now) - started))
# Check that no replica with the old program answers.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	denied_with "$text" || fail "an old webhook still answers: $answer"
done

restore
printf '\nTime from saving a file until the new webhook answers: %d.%01ds\n' $((took / 1000)) $((took % 1000 / 100))
