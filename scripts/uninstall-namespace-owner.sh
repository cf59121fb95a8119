#!/usr/bin/env bash
# Removes what scripts/install-namespace-owner.sh has installed, and the namespaces of the demo
# scripts/namespace-owner.sh. All other namespaces stay as they are: their owners keep their
# rights, and the quotas stay in force. The webhook stays installed.
#
# It deletes the policies after the controller, so that at no moment a forged owner gets rights.
# Until then, users without the verb set-owner cannot create namespaces. If a command fails, run
# the script again.
#
# Examples:
#   # From the cluster of kubectl's current context
#   scripts/uninstall-namespace-owner.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
cd deploy/namespace-owner

heading 'Remove the webhook for namespaces from the API server:'
run 'kubectl delete -f 05-webhookconfigure.yaml --ignore-not-found'

heading 'Delete the controller, then the policies and everything that was installed for it:'
for file in 06-patch-webhookconfigure.yaml 04-controller.yaml 03-template.yaml 02-policies.yaml 01-rbac.yaml; do
	run "kubectl delete -f $file --ignore-not-found"
done

heading 'Delete the namespaces of the demo:'
run "kubectl delete namespace/$alice namespace/$bob clusterrolebinding/$demo --ignore-not-found"
