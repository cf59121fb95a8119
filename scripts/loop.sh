#!/bin/sh
# Measures how long it takes from a saved file until the new webhook, and no other,
# answers: on the cluster of `make up install`, which then runs this checkout again.
#
# What is saved is another text of a denial, in a copy of the checkout.
#
# Examples:
#   # As `make loop` does
#   scripts/loop.sh
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
no_arguments "$@"
needs go
[ -x bin/cluster ] || fail "there is no bin/cluster: run 'make loop'"
environment=$(bin/cluster env)
eval "$environment"
checkout=$PWD
copy=$(mktemp -d)
altered=
trap 'rm -rf "$copy"; [ -z "$altered" ] || restore' EXIT
trap 'exit 130' INT TERM

# now: milliseconds.
now() { echo $(($(date +%s%N) / 1000000)); }

# restore rolls this checkout out again.
restore() {
	cd "$checkout"
	bin/cluster reload
	altered=
}

# answered TEXT: whether a pod with a latest image is denied with the text.
answered() {
	! said=$(kubectl run loop --image=nginx:latest --dry-run=server 2>&1) || return 1
	case $said in *"$1"*) ;; *) return 1 ;; esac
}

cp -R webhook tools deploy go.mod go.sum "$copy"
text="it can change under you (asked by $$)"
cd "$copy"
started=$(now)
sed -i "s/it can change under you/$text/" webhook/admission/fault.go
grep -q "$text" webhook/admission/fault.go ||
	fail "webhook/admission/fault.go does not say 'it can change under you', which this replaces: put that back, or change this script"
altered=1
"$checkout/bin/cluster" reload
tries=0
until answered "$text"; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || fail "the new webhook does not answer; the last word was: $said"
	sleep 0.1
done
took=$(($(now) - started))
# All that are asked are the new ones.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	answered "$text" || fail "an old webhook still answers: $said"
done

restore
printf '\nFrom a saved file until the new webhook answers: %d.%01ds\n' $((took / 1000)) $((took % 1000 / 100))
