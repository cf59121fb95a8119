#!/bin/sh
# Compiles what `make test` imports, with the flags given, so that the wait happens
# where it is shown.
#
# Examples:
#   # As `make test` does
#   scripts/compile-tests.sh -race
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
needs go
packages=$(go list ./... | grep -v '/e2e$')
# shellcheck disable=SC2086 # a list of packages
go list -deps -test -f '{{if and .GoFiles (not .ForTest) (not .Standard)}}{{.ImportPath}}{{end}}' $packages |
	grep -v '\.test$' | xargs go build "$@"
