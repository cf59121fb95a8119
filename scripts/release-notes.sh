#!/bin/sh
# Prints the section of a version in CHANGELOG.md, for a release.
#
#   scripts/release-notes.sh VERSION
#
# Examples:
#   # For a release
#   scripts/release-notes.sh v1.2.3
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
[ $# -eq 1 ] || mistake "expected VERSION"
notes=$(awk -v heading="## [${1#v}]" '/^## |^\[.*\]: / {ours = index($0, heading) == 1; next} ours' CHANGELOG.md)
[ -n "$notes" ] || fail "CHANGELOG.md has no entries under \"## [${1#v}]\": describe the changes there"
echo "$notes"
