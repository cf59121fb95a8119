#!/usr/bin/env bash
# Removes the webhook and the pods of the demos. If the optional manifests for the owners of
# namespaces are installed, it first runs scripts/uninstall-namespace-owner.sh. It deletes the
# webhook configurations first: from then on, the API server does not call the webhook, even if
# a later command fails.
#
# Examples:
#   # From the cluster of kubectl's current context
#   scripts/uninstall.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
if [ -n "$(kubectl get clusterroles -l app.kubernetes.io/component=namespace-owner -o name)" ]; then
	scripts/uninstall-namespace-owner.sh
fi
cd deploy

heading 'Remove the webhook from the API server:'
run 'kubectl delete -f 05-webhookconfigure.yaml --ignore-not-found'
if [ -n "$(kubectl get validatingadmissionpolicies image-webhook --ignore-not-found -o name)" ]; then # the hybrid form
	run 'kubectl delete -f hybrid/policy.yaml --ignore-not-found'
fi

heading 'Delete the webhook and everything that was installed for it:'
for file in 07-renew.yaml 06-patch-webhookconfigure.yaml 04-webhook.yaml 03-certgen.yaml 02-rbac.yaml 01-namespace.yaml; do
	run "kubectl delete -f $file --ignore-not-found"
done

heading 'Delete the pods of the demos:'
run "kubectl delete namespace $demo --ignore-not-found"

heading 'Check that no object of the webhook is left:'
list='kubectl get namespaces,clusterroles,clusterrolebindings,validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,roles,rolebindings -n default -l app.kubernetes.io/name=image-webhook'
run "$list"
[ -z "$($list -o name)" ] || fail 'these objects were not deleted: delete them with kubectl'
