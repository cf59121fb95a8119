#!/bin/sh
# Runs every test that needs no cluster: those of the packages, then the webhook on a
# real API server. With the race detector, where there is a C compiler or one can be
# installed.
#
# Examples:
#   # With the tools that it calls
#   make test
#
#   # Of another Kubernetes
#   K8S=1.36 make test
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
no_arguments "$@"
needs go
race=-race
go run ./tools/cmd/installpackages "to use the race detector" gcc=gcc,libc6-dev || {
	echo "Going on without the race detector." >&2
	race=
}
packages=$(go list ./... | grep -Ev '/e2e(/|$)')
scripts/step.sh "compile the tests" scripts/compile-tests.sh $race
# shellcheck disable=SC2086 # a list of packages
go test $race $packages
cd e2e/integration # where go test shows what the tests print
go test $race -parallel=8
