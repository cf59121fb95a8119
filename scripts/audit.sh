#!/usr/bin/env bash
# Shows what would be denied if the mode of a namespace changed from warn to deny. It uses the plugin of
# kubectl, which `make tools` builds.
#
# Examples:
#   # On the cluster of `make up`
#   make tools && eval "$(bin/cluster env)"
#   scripts/audit.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/bin:$PATH
. scripts/demo-functions.sh
needs_webhook
command -v kubectl-image_webhook >/dev/null || fail "the plugin of kubectl is not in bin: run \`make tools\`"
reset_namespace

# The other demos need the mode deny.
reset_mode() {
	kubectl delete deployment web -n "$demo" --ignore-not-found >/dev/null
	kubectl label namespace "$demo" image-webhook.dev/mode- >/dev/null
}
trap reset_mode EXIT

heading 'In the mode warn, nothing is denied:'
run "kubectl label namespace $demo image-webhook.dev/mode=warn"
run "kubectl create deployment web --image=nginx:latest -n $demo"
run "kubectl wait --for=create pod -l app=web -n $demo --timeout=60s"

heading 'What would be denied in the mode deny, by owner:'
expect_failure 'would be refused after a switch to deny; owners to change: 1' "kubectl image-webhook audit -n $demo"

heading 'Why, and what to do:'
run "kubectl image-webhook explain nginx:latest --registry-mirrors=docker.mirror.example"
