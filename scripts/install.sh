#!/usr/bin/env bash
# Installs the webhook with kubectl, and prints each command. The nodes must be able to pull
# the image in the manifests; `bin/cluster load` copies it to the nodes of `make up`.
#
# You can run it again: it deletes the Jobs of an earlier run, and restarts the webhook's
# pods, because the image's tag does not show whether its content has changed. If the optional
# manifests for the owners of namespaces are installed, it then runs
# scripts/install-namespace-owner.sh: they need the same image and the same CA.
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

# wait_for LINE runs a command that waits for pods of the webhook.
wait_for() {
	run "$1" ||
		fail "pods are not ready: kubectl describe pod -n image-webhook shows why; if the image is missing on the nodes of \`make up\`, run \`bin/cluster load\`"
}

# check_service ends the script if the Service selects no pod, before 05 sets the failure
# policies to Ignore. `kubectl apply` does not remove a key that was added to its selector.
check_service() {
	local selector
	# shellcheck disable=SC2016 # kubectl expands the variables
	selector=$(kubectl get service webhook -n image-webhook -o go-template='{{range $k, $v := .spec.selector}}{{$k}}={{$v}},{{end}}')
	[ -n "$(kubectl get pods -n image-webhook -l "${selector%,}" -o name)" ] ||
		fail "Service webhook selects no pod: its selector is \"${selector%,}\": remove the keys that deploy/04-webhook.yaml does not have: kubectl edit service webhook -n image-webhook"
}

installed=$(kubectl get deployment webhook -n image-webhook --ignore-not-found -o name)
with_owner=$(kubectl get deployment namespace-owner -n image-webhook --ignore-not-found -o name)

# The commands follow order.yaml.
heading 'Create the namespace and the permissions of the Jobs and the webhook:'
run 'kubectl apply -f 01-namespace.yaml'
run 'kubectl apply -f 02-rbac.yaml'

heading 'A Job creates the certificate:'
run 'kubectl delete job certgen patch-webhookconfigure -n image-webhook --ignore-not-found'
run 'kubectl create -f 03-certgen.yaml'
wait_for 'kubectl wait --for=condition=complete job -l job=certgen -n image-webhook --timeout=120s'

heading 'Start the webhook:'
run 'kubectl apply -f 04-webhook.yaml'
[ -z "$installed" ] || run 'kubectl rollout restart deployment/webhook -n image-webhook'
wait_for 'kubectl rollout status deployment/webhook -n image-webhook --timeout=120s'
check_service

heading 'Register the webhook with the API server; a Job sets the CA, then failurePolicy: Fail:'
run 'kubectl apply -f 05-webhookconfigure.yaml'
run 'kubectl create -f 06-patch-webhookconfigure.yaml'
wait_for 'kubectl wait --for=condition=complete job -l job=patch-webhookconfigure -n image-webhook --timeout=120s'

heading 'Renew the certificate every hour, when it is due:'
run 'kubectl apply -f 07-renew.yaml'

[ -z "$with_owner" ] || ../scripts/install-namespace-owner.sh
