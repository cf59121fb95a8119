#!/bin/sh
# Every check of the sources that needs no cluster and runs no code of ours. All
# of them run; the exit code says whether one has failed.
#
# Examples:
#   # As `make verify` does
#   scripts/verify.sh
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/shared.sh
no_arguments "$@"
needs go
choose_marks 1
failed=

# check NAME COMMAND...: the command fails when it finds something.
check() {
	name=$1
	shift
	if output=$("$@" 2>&1); then
		echo "$done_mark $name"
		return
	fi
	echo "$failed_mark $name"
	printf '%s\n' "$output" | sed 's/^/  | /'
	failed="$failed $name"
}

unformatted() {
	files=$(gofmt -l .)
	[ -z "$files" ] || { echo "$files" && return 1; }
}

scripts/step.sh "download the modules" go mod download
scripts/step.sh "build the linter" go -C tools/lint build -o "$PWD/bin/staticcheck" honnef.co/go/tools/cmd/staticcheck
scripts/step.sh "compile everything" go build ./...
go run ./tools/need "to check the scripts" shellcheck=shellcheck || failed="$failed shellcheck"

check gofmt unformatted
check vet go vet ./...
check "go mod tidy" go mod tidy -diff
check "go mod tidy, tools/lint" go -C tools/lint mod tidy -diff
for version in tools/kubernetes/*/; do
	check "go mod tidy, ${version%/}" go -C "$version" mod tidy -diff
done
check "go mod tidy, tools/mirror/registry" go -C tools/mirror/registry mod tidy -diff
check "vet, tools/mirror/registry" go -C tools/mirror/registry vet ./...
check staticcheck bin/staticcheck -checks all ./...
check shellcheck shellcheck --external-sources scripts/*.sh deploy/image-policy/*.sh .ci/run

if [ -n "$failed" ]; then
	echo "failed:$failed"
	exit 1
fi
