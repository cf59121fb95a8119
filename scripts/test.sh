#!/bin/sh
# Runs every test that needs no cluster: the tests of the packages, then those of the
# webhook on a real API server. It uses the race detector if a C compiler is installed or can
# be installed.
#
# Examples:
#   # With the programs that the tests need
#   make test
#
#   # On another Kubernetes version
#   K8S=1.36 make test
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
no_arguments "$@"
needs go
race=-race
go run ./tools/cmd/installpackages "to use the race detector" gcc=gcc,libc6-dev || {
	echo "Continuing without the race detector." >&2
	race=
}
# Once: the cache keeps it.
scripts/step.sh "compile promtool" go test -timeout=30m -run=TestRulesAreValid ./tools/checks/promtool
# These read files and run programs: they share no memory between goroutines.
without_race='./deploy ./docs ./scripts ./tools/checks/...'
packages=$(go list ./... | grep -Ev '/e2e(/|$)|/(deploy|docs|scripts)$|/tools/checks/')
scripts/step.sh "compile the tests" scripts/compile-tests.sh $race
# At least three packages at once, because many tests wait for processes. `make verify` runs vet.
at_once=$(nproc)
[ "$at_once" -ge 3 ] || at_once=3
# shellcheck disable=SC2086 # a list of packages
go test $race -vet=off -p="$at_once" $packages
# shellcheck disable=SC2086 # a list of packages
go test -p="$at_once" $without_race
cd e2e/integration # in a single directory, go test shows what the tests print
go test $race -vet=off -parallel=8
