#!/bin/sh
# Creates the parts of a release other than the programs: pushes the image for all
# architectures, and writes to bin/release the manifests with this image and, if syft is
# installed, an SBOM. It prints the image's reference with the digest.
#
#   scripts/release.sh IMAGE VERSION
#
# You can run it again: the same sources produce identical files.
#
# Examples:
#   # With a local registry
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
scripts/release-manifests.sh "$pushed" namespace-owner >"$out/install-namespace-owner.yaml"
echo "$pushed"
