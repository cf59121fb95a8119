#!/bin/sh
# Prints what CHANGELOG.md says of a version, for a release.
#
#   scripts/release-notes.sh VERSION
#
# Examples:
#   # Of a release
#   scripts/release-notes.sh v1.2.3
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
[ $# -eq 1 ] || mistake "expected VERSION"
notes=$(awk -v heading="## [${1#v}]" '/^## |^\[.*\]: / {ours = index($0, heading) == 1; next} ours' CHANGELOG.md)
[ -n "$notes" ] || fail "CHANGELOG.md has nothing below a heading \"## [${1#v}]\": say there what is new"
echo "$notes"
