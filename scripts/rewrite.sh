#!/usr/bin/env bash
# Shows which image is stored when a pod is created: the one from the mirror. The pod does
# not have to run.
#
# Examples:
#   # On the API server of `make controlplane`, which has no nodes
#   eval "$(bin/controlplane env)"
#   ANY_CLUSTER=1 scripts/rewrite.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
reset_namespace

heading 'Create a pod with an image of Docker Hub, and one with an image of registry.k8s.io:'
run "kubectl run nginx --image=nginx:1.25 -n $demo"
run "kubectl run pause --image=registry.k8s.io/pause:3.10 -n $demo"

heading 'The stored images are from the mirrors:'
run "kubectl get pods -n $demo -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image"
stored=$(kubectl get pods -n "$demo" -o jsonpath='{range .items[*]}{.spec.containers[0].image}{" "}{end}')
case " $stored" in
*' nginx:1.25 '* | *' registry.k8s.io/pause:3.10 '*) fail "an image was not rewritten: check that the webhook answers and that the ConfigMap image-policy has a mirror for it" ;;
esac
