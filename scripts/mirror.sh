#!/usr/bin/env bash
# Shows that an image is pulled from the mirror: in the pod, on the node, in the mirror's
# log, and in the page that the pod serves. It uses the mirror in the cluster of `make up`.
#
# Examples:
#   # On the cluster of `make up`
#   eval "$(bin/cluster env)"
#   scripts/mirror.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
[ -n "$(kubectl get deployment mirror -n mirror --ignore-not-found -o name)" ] ||
	fail "this cluster has no mirror: \`make up\` creates a cluster with one"
needs_webhook
reset_namespace

heading 'Create a pod with an image of Docker Hub (Always: the node asks the registry even if it has the image):'
run "kubectl run nginx --image=nginx:1.25 --image-pull-policy=Always -n $demo"
run "kubectl wait --for=condition=Ready pod/nginx -n $demo --timeout=60s" ||
	fail "the pod is not ready: kubectl describe pod nginx -n $demo shows why"

heading 'The stored image and the running image are from the mirror:'
run "kubectl get pod nginx -n $demo -o jsonpath='{.spec.containers[0].image}{\"\\n\"}{.status.containerStatuses[0].imageID}{\"\\n\"}'"

heading 'The node asked the mirror for the image:'
retry 'kubectl logs deployment/mirror -n mirror --since=1m | grep "/library/nginx/manifests/1.25?ns=.*containerd" | tail -n 1' ||
	fail "the mirror's log has no such request: kubectl describe pod nginx -n $demo shows where the image was pulled from"

heading 'The page that the pod serves:'
retry "kubectl get --raw /api/v1/namespaces/$demo/pods/nginx:80/proxy/"
