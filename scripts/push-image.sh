#!/bin/sh
# Pushes image archives, one for each architecture, as one multi-platform image, and prints
# its reference with the digest. tools/cmd/image writes the archives.
#
#   scripts/push-image.sh REFERENCE ARCHIVE...
#
# The name of an archive must end in -ARCHITECTURE.tar. Its image also gets the tag of
# REFERENCE with the suffix -ARCHITECTURE. Paths are absolute or relative to the checkout.
# Log in to the registry with docker login.
#
# Examples:
#   # For two architectures
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
