#!/bin/sh
# Prints the manifests in deploy/ as one file, for a release: with the release's image, and
# with the example mirrors commented out.
#
#   scripts/release-manifests.sh IMAGE [namespace-owner]
#
# With namespace-owner, it prints the optional manifests for the owners of namespaces.
#
# Examples:
#   # For an image that you pushed
#   scripts/release-manifests.sh registry.example.com/image-webhook:v1 >install.yaml
set -eu
cd "$(dirname "$0")/.."
. scripts/shared.sh
help_or_go_on "$@"
case "$# ${2-}" in
'1 ' | '2 namespace-owner') ;;
*) mistake "expected IMAGE [namespace-owner]" ;;
esac
cd "deploy/${2-.}"
[ $# -eq 2 ] || cat <<END
# The manifests of image-webhook with the image $1
#
#   kubectl delete job certgen patch-webhookconfigure -n image-webhook --ignore-not-found
#   kubectl apply -f install.yaml
#   kubectl wait --for=condition=complete job/patch-webhookconfigure -n image-webhook --timeout=6m
#
# To set mirrors and other rules, edit the ConfigMap image-policy below.

END
[ $# -eq 1 ] || cat <<END
# The manifests for the owners of namespaces, with the image $1
#
# Install the webhook first. Then:
#
#   kubectl delete job patch-namespace-owner -n image-webhook --ignore-not-found
#   kubectl apply -f install-namespace-owner.yaml
#   kubectl wait --for=condition=complete job/patch-namespace-owner -n image-webhook --timeout=6m

END
separator=
for file in 0*.yaml; do
	printf %s "$separator"
	separator='---
'
	sed -e "s|image: image-webhook.dev/image-webhook:dev\$|image: $1|" \
		-e '/^    mirrors:$/,/^        mirror: k8s/s|^    |    # |' "$file"
done
