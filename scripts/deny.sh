#!/usr/bin/env bash
# Shows which pods are denied: those whose image can change while its name stays the same. A
# workload only gets a warning, but its pods would be denied.
#
# Examples:
#   # On the cluster of kubectl's current context
#   scripts/deny.sh
#
#   # On a cluster that was not created by kind
#   ANY_CLUSTER=1 scripts/deny.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
reset_namespace

heading 'A pod with the tag latest is denied:'
expect_failure 'uses image' "kubectl run nginx --image=nginx:latest -n $demo"

heading 'An image without a tag means latest, so it is denied:'
expect_failure 'uses image' "kubectl run nginx --image=nginx -n $demo"

heading 'A Deployment gets a warning (a dry run stores nothing):'
run "kubectl create deployment nginx --image=nginx:latest --dry-run=server -n $demo"

heading 'An image with a digest cannot change, so it is allowed with any tag:'
run "kubectl run nginx --image=nginx:latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --dry-run=server -n $demo"
