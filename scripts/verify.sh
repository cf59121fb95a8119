#!/bin/sh
# Checks the sources without a cluster: the Go code, the import rules, the wording, the
# scripts, the workflows, the manifests and the links. It runs all checks, even if one fails;
# the exit code is then 1.
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

# check NAME COMMAND... runs a command, which fails if it finds a problem.
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

# promtool tests the alerts. The parser of Prometheus and the types of Grafana, which are in a
# module of their own, check the dashboard.
alerts_and_dashboard() {
	go test ./tools/checks/promtool && go -C tools/checks/monitoring test -count=1 .
}

scripts/step.sh "download the modules" go mod download
scripts/step.sh "build the linters" go -C tools/pins/lint build -o "$PWD/bin/" \
	honnef.co/go/tools/cmd/staticcheck github.com/rhysd/actionlint/cmd/actionlint
scripts/step.sh "compile everything" go build ./...
# Once: the cache keeps it.
scripts/step.sh "compile promtool" go test -timeout=30m -run=TestRulesAreValid ./tools/checks/promtool
go run ./tools/cmd/installpackages "to check the scripts" shellcheck=shellcheck || failed="$failed shellcheck"
go run ./tools/cmd/installpackages "to test the recipes for scanners" jq=jq || failed="$failed jq"

check gofmt unformatted
check vet go vet ./...
modules=$(find . -name go.mod | sort)
for module in $modules; do
	check "go mod tidy, ${module%/go.mod}" go -C "${module%/go.mod}" mod tidy -diff
done
# Not tools/images/coredns: that would compile all of CoreDNS for one small file.
check "vet, tools/images/registry" go -C tools/images/registry vet ./...
check "tests, tools/parsers" go -C tools/parsers test .
check "vet, tools/checks/monitoring" go -C tools/checks/monitoring vet .
check "alerts and dashboard" alerts_and_dashboard
check "vet, tools/checks/policyfile" go -C tools/checks/policyfile vet .
check "policy file" go -C tools/checks/policyfile test -count=1 .
check "vet, tools/checks/sarif" go -C tools/checks/sarif vet .
check "SARIF" go -C tools/checks/sarif test -count=1 .
check "vet, tools/checks/containerd" go -C tools/checks/containerd vet .
check "files of containerd" go -C tools/checks/containerd test -count=1 .
check staticcheck bin/staticcheck -checks all ./...
check actionlint bin/actionlint
# `make test` runs the Kustomize tests, with a kubectl that it compiles first, which can take
# minutes.
check manifests go test -skip Kustomize ./deploy
check links go run ./tools/cmd/links
check "import rules" go test ./tools/checks/walls
check wording go test ./tools/checks/wording
check shellcheck shellcheck --external-sources scripts/*.sh deploy/image-policy/*.sh .github/actions/check/*.sh .ci/run

if [ -n "$failed" ]; then
	echo "failed:$failed"
	exit 1
fi
