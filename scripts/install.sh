#!/usr/bin/env bash
# Installs the webhook with kubectl, command by command. The nodes must be able
# to get the image that the manifests name: `bin/cluster load` puts it on those of
# `make up`.
#
# It can be run again: the Jobs of an earlier run are removed first, and pods of
# the webhook that were there start anew, because the image's tag does not say
# whether its content has changed.
#
# Examples:
#   # On the cluster of `make up`
#   bin/cluster load
#   eval "$(bin/cluster env)"
#   scripts/install.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
cd deploy

# wait_for LINE: is run for a command that waits for pods of the webhook.
wait_for() {
	run "$1" ||
		fail "kubectl describe pod -n image-webhook says why; for a missing image: \`bin/cluster load\` puts it on the nodes of \`make up\`"
}

again=$(kubectl get deployment webhook -n image-webhook --ignore-not-found -o name)

say 'The namespace, and what the Jobs and the webhook may do:'
run 'kubectl apply -f 01-namespace.yaml'
run 'kubectl apply -f 02-rbac.yaml'

say 'A Job makes the certificate:'
run 'kubectl delete job certgen patch-webhookconfigure -n image-webhook --ignore-not-found'
run 'kubectl create -f 03-certgen.yaml'
wait_for 'kubectl wait --for=condition=complete job -l job=certgen -n image-webhook --timeout=120s'

say 'The webhook itself:'
run 'kubectl apply -f 04-webhook.yaml'
[ -z "$again" ] || run 'kubectl rollout restart deployment/webhook -n image-webhook'
wait_for 'kubectl rollout status deployment/webhook -n image-webhook --timeout=120s'

say 'The API server learns of it; a Job hands over the CA and makes the rule binding:'
run 'kubectl apply -f 05-webhookconfigure.yaml'
run 'kubectl create -f 06-patch-webhookconfigure.yaml'
wait_for 'kubectl wait --for=condition=complete job -l job=patch-webhookconfigure -n image-webhook --timeout=120s'
