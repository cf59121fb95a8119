#!/usr/bin/env bash
# Shows that an image comes out of the mirror: in the pod, on the node, from the
# mirror's side, and by what the pod serves. The mirror is the one of `make up`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/byhand.sh
kubectl get deployment mirror -n mirror >/dev/null 2>&1 ||
	fail "this cluster has no mirror to pull from: \`make up\` makes a cluster with one"
fresh_namespace

say 'A pod is created with an image of Docker Hub:'
run "kubectl run nginx --image=nginx:1.25 -n $demo"
run "kubectl wait --for=condition=Ready pod/nginx -n $demo --timeout=60s"

say 'The image that is stored, and the one that runs, are the mirror'"'"'s:'
run "kubectl get pod nginx -n $demo -o jsonpath='{.spec.containers[0].image}{\"\\n\"}{.status.containerStatuses[0].imageID}{\"\\n\"}'"

say 'The mirror saw the node asking for it, once for all its pods:'
run 'kubectl logs deployment/mirror -n mirror | grep "GET /v2/library/nginx/.*containerd" | tail -n 3' ||
	echo '(the node has it from before the mirror was started anew)'

say 'What the pod serves:'
run "kubectl get --raw /api/v1/namespaces/$demo/pods/nginx:80/proxy/"
