#!/usr/bin/env bash
# Shows what is denied: a pod whose image can change under its name. Of a
# workload a person is only warned; its pods would be denied.
#
# Examples:
#   # On the cluster that kubectl points at
#   scripts/deny.sh
#
#   # On one that is none of kind's
#   ANY_CLUSTER=1 scripts/deny.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
fresh_namespace

say 'A pod with the tag latest is denied:'
refused 'denied the request' "kubectl run nginx --image=nginx:latest -n $demo"

say 'No tag means latest:'
refused 'denied the request' "kubectl run nginx --image=nginx -n $demo"

say 'Of a Deployment a person is warned (a dry run: nothing is stored):'
run "kubectl create deployment nginx --image=nginx:latest --dry-run=server -n $demo"

say 'An image with a digest cannot change, whatever its tag:'
run "kubectl run nginx --image=nginx:latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --dry-run=server -n $demo"
