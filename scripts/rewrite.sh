#!/usr/bin/env bash
# Shows which image is stored when a pod is created: that of the mirror. Nothing of
# the pod has to run for it.
#
# Examples:
#   # On the API server of `make controlplane`, which has no nodes
#   eval "$(bin/controlplane env)"
#   ANY_CLUSTER=1 scripts/rewrite.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
fresh_namespace

say 'A pod is created with an image of Docker Hub, another with one of registry.k8s.io:'
run "kubectl run nginx --image=nginx:1.25 -n $demo"
run "kubectl run pause --image=registry.k8s.io/pause:3.10 -n $demo"

say 'The images that are stored are those of the mirrors:'
run "kubectl get pods -n $demo -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image"
stored=$(kubectl get pods -n "$demo" -o jsonpath='{range .items[*]}{.spec.containers[0].image}{" "}{end}')
case " $stored" in
*' nginx:1.25 '* | *' registry.k8s.io/pause:3.10 '*) fail "an image was stored as it was written: has the webhook a mirror for it, and does it answer?" ;;
esac
