#!/bin/sh
# Pushes archives of tools/cmd/image, one for each architecture, as one image, and prints
# its name with its digest.
#
#   scripts/push-image.sh REFERENCE ARCHIVE...
#
# The name of an archive ends in its architecture; what is in it also gets the tag of
# REFERENCE with that ending. Paths are those of the checkout, or absolute. To log in:
# docker login.
#
# Examples:
#   # Two architectures
#   scripts/push-image.sh registry.example.com/image-webhook:v1 image-webhook-amd64.tar image-webhook-arm64.tar
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
[ $# -ge 2 ] || mistake "expected REFERENCE ARCHIVE..."
reference=$1
shift
images=
for archive; do
	architecture=$(basename "$archive" .tar)
	pushed=$(go tool crane push "$archive" "$reference-${architecture##*-}")
	images="$images --manifest=$pushed"
done
# shellcheck disable=SC2086 # a list of flags
go tool crane index append --docker-empty-base --tag="$reference" $images >/dev/null
echo "$reference@$(go tool crane digest "$reference")"
