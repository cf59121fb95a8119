#!/usr/bin/env bash
# Installs the optional manifests for the owners of namespaces with kubectl, and prints each
# command. The webhook must be installed. From then on, users own the namespaces that they
# create.
#
# You can run it again, for example after an upgrade of the webhook or of its certificate: it
# restarts the controller's pods, because the image's tag does not show whether its content
# has changed.
#
# Examples:
#   # On the cluster of `make up`, after scripts/install.sh
#   scripts/install-namespace-owner.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
cd deploy/namespace-owner

# wait_for LINE runs a command that waits for pods.
wait_for() {
	run "$1" ||
		fail "pods are not ready: kubectl describe pod -n image-webhook shows why; if the image is missing on the nodes of \`make up\`, run \`bin/cluster load\`"
}

installed=$(kubectl get deployment namespace-owner -n image-webhook --ignore-not-found -o name)

# The commands follow order.yaml.
heading 'Create the permissions of the controller, and the policy that confines it:'
run 'kubectl apply -f 01-rbac.yaml'

heading 'The API server itself guards the owner of a namespace:'
run 'kubectl apply -f 02-policies.yaml'

if [ -z "$installed" ]; then
	heading 'Namespaces that already name an owner; the controller will give these owners rights (no line: none):'
	run "kubectl get namespaces -o jsonpath='{range .items[?(@.metadata.annotations.image-webhook\.dev/owner)]}{.metadata.name}{\" \"}{.metadata.annotations.image-webhook\.dev/owner}{\"\n\"}{end}'"
fi

heading 'Start the controller, which gives the owner of a namespace rights and a quota:'
run 'kubectl apply -f 03-template.yaml'
run 'kubectl apply -f 04-controller.yaml'
[ -z "$installed" ] || run 'kubectl rollout restart deployment/namespace-owner -n image-webhook'
wait_for 'kubectl rollout status deployment/namespace-owner -n image-webhook --timeout=120s'

heading 'Let the webhook write the owner of a new namespace; a Job sets the CA:'
run 'kubectl apply -f 05-webhookconfigure.yaml'
run 'kubectl delete job patch-namespace-owner -n image-webhook --ignore-not-found'
run 'kubectl create -f 06-patch-webhookconfigure.yaml'
wait_for 'kubectl wait --for=condition=complete job -l job=patch-namespace-owner -n image-webhook --timeout=120s'
