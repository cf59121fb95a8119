#!/usr/bin/env bash
# Removes the webhook, and the pods of the demos. The configurations go first:
# from then on the API server asks nobody, whatever happens next.
#
# Examples:
#   # From the cluster that kubectl points at
#   scripts/uninstall.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
cd deploy

say 'The API server forgets the webhook:'
run 'kubectl delete -f 05-webhookconfigure.yaml --ignore-not-found'

say 'The webhook goes, with all that was installed for it:'
for file in 06-patch-webhookconfigure.yaml 04-webhook.yaml 03-certgen.yaml 02-rbac.yaml 01-namespace.yaml; do
	run "kubectl delete -f $file --ignore-not-found"
done

say 'So do the pods of the demos:'
run "kubectl delete namespace $demo --ignore-not-found"

say 'Nothing of the webhook is left:'
all='kubectl get namespaces,clusterroles,clusterrolebindings,validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=image-webhook'
run "$all"
[ -z "$($all -o name)" ] || fail 'this should have been deleted'
