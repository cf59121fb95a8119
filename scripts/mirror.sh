#!/usr/bin/env bash
# Shows that an image comes out of the mirror: in the pod, on the node, from the
# mirror's side, and by what the pod serves. The mirror is the one of `make up`.
#
# Examples:
#   # On the cluster of `make up`
#   eval "$(bin/cluster env)"
#   scripts/mirror.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
[ -n "$(kubectl get deployment mirror -n mirror --ignore-not-found -o name)" ] ||
	fail "this cluster has no mirror to pull from: \`make up\` makes a cluster with one"
needs_webhook
fresh_namespace

say 'A pod is created with an image of Docker Hub (Always has the node ask even if it has the image):'
run "kubectl run nginx --image=nginx:1.25 --image-pull-policy=Always -n $demo"
run "kubectl wait --for=condition=Ready pod/nginx -n $demo --timeout=60s" ||
	fail "kubectl describe pod nginx -n $demo says why"

say 'The image that is stored, and the one that runs, are those of the mirror:'
run "kubectl get pod nginx -n $demo -o jsonpath='{.spec.containers[0].image}{\"\\n\"}{.status.containerStatuses[0].imageID}{\"\\n\"}'"

say 'The mirror was asked for it by the node:'
soon 'kubectl logs deployment/mirror -n mirror --since=1m | grep "/library/nginx/manifests/1.25?ns=.*containerd" | tail -n 1' ||
	fail "it was not: kubectl describe pod nginx -n $demo says where the image came from"

say 'What the pod serves:'
soon "kubectl get --raw /api/v1/namespaces/$demo/pods/nginx:80/proxy/"
