#!/bin/sh
# Compiles programs of this checkout into bin/, and shows how many packages are compiled.
#
#   scripts/compile.sh [--prefetch=nodeimage|controlplane] PACKAGE...
#
# With --prefetch, it also downloads the modules that the programs will compile next: see
# scripts/prefetch.sh. The flags are those of tools/gobuild, so that packages that the tools
# and the node image share are compiled only once.
#
# Examples:
#   # As the Makefile does
#   scripts/compile.sh --prefetch=nodeimage ./tools/cmd/cluster
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/shared.sh
. scripts/shared.sh
help_or_go_on "$@"
prefetch=
case ${1-} in
--prefetch=*) prefetch=${1#--prefetch=} && shift ;;
esac
[ $# -ge 1 ] || mistake "expected PACKAGE..."
for package; do
	case $package in ./*) ;; *) mistake "unexpected argument \"$package\"" ;; esac
done
needs go
packages=$*
total=

# step_detail LOG sets detail to the number of packages that `go build -v` has printed. It
# counts the packages of the build only once, because that takes about a second.
step_detail() {
	compiled=$(grep -vc '^go: ' "$1")
	if [ "$compiled" -eq 0 ]; then
		detail="$(grep -c '^go: downloading' "$1") modules downloaded"
		return
	fi
	# shellcheck disable=SC2086 # a list of packages
	[ -n "$total" ] || total=$(go list -deps $packages 2>/dev/null | wc -l)
	# shellcheck disable=SC2034 # shared.sh uses it
	detail="$compiled packages compiled, at most $total"
}

if [ -n "$prefetch" ]; then
	scripts/prefetch.sh "$prefetch" >/dev/null 2>&1 &
	prefetcher=$!
	trap 'kill "$prefetcher" 2>/dev/null' EXIT
fi
names=$(for package; do basename "$package"; done | tr '\n' ' ')
export CGO_ENABLED=0
run_step "compile ${names% }" go build -v -o bin/ \
	-trimpath -buildvcs=false -tags= -gcflags=all=-dwarf=false "-ldflags=-s -w -buildid= " "$@"
