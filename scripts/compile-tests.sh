#!/bin/sh
# Compiles the packages that the tests import, with the given flags of go build, so that
# `make test` shows its progress.
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
