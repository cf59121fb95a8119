#!/bin/sh
# Makes what a release has beside the programs: pushes the image for all
# architectures, and writes into bin/release the manifests that name it, and a
# list of what is in it, if there is syft. It prints the image's name with its digest.
#
#   scripts/release.sh IMAGE VERSION
#
# It can be repeated: the same sources give the same bytes.
#
# Examples:
#   # To try it
#   go tool crane registry serve --address=127.0.0.1:5000 &
#   scripts/release.sh 127.0.0.1:5000/image-webhook v0.0.0
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
[ $# -eq 2 ] || mistake "expected IMAGE VERSION"
image=$1 version=$2
out=bin/release
mkdir -p "$out"

for architecture in amd64 arm64; do
	archive=$out/image-webhook-$architecture.tar
	go run ./tools/cmd/image --arch="$architecture" --version="$version" --output="$archive" >&2
	! command -v syft >/dev/null ||
		syft scan --quiet --source-name="$image" --source-version="$version" \
			--output="spdx-json=$out/image-$architecture.spdx.json" "docker-archive:$archive"
done
pushed=$(scripts/push-image.sh "$image:$version" "$out"/image-webhook-*.tar)
scripts/release-manifests.sh "$pushed" >"$out/install.yaml"
echo "$pushed"
