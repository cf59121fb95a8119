#!/usr/bin/env bash
# Deletes everything with which the webhook is registered, and shows that the API server still
# denies and mirrors images: it has the rules from files on the control-plane node. Users whom
# the files do not name cannot delete the registrations. At the end, installs the webhook again.
#
# Examples:
#   # On a new cluster whose API server has the files
#   make up install STATIC=1
#   eval "$(bin/cluster env)"
#   scripts/undeletable.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
metrics=$(kubectl get --raw /metrics)
[[ $metrics =~ last_config_info\{[^}]*plugin=\"ValidatingAdmissionPolicy\" ]] ||
	fail "the API server reads no policies from files: create the cluster with \`make up STATIC=1\`"
reset_namespace

registrations=validatingwebhookconfigurations,mutatingwebhookconfigurations
policies=validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings
ours='-l app.kubernetes.io/name=image-webhook'
admin='--as=other-admin --as-group=system:masters'

heading 'A cluster administrator whom the files do not name cannot delete a registration:'
expect_failure 'is protected by files' "kubectl delete validatingwebhookconfiguration image-webhook-warnings $admin"

heading 'Nor can this user change one, or stop the renewal of the certificate:'
expect_failure 'is protected by files' "kubectl patch mutatingwebhookconfiguration image-webhook --type=merge -p '{\"webhooks\":[]}' $admin"
expect_failure 'is protected by files' "kubectl delete cronjob renew -n image-webhook $admin"

heading 'The user of this kubeconfig is named, and deletes everything:'
run "kubectl delete $registrations $ours"
run "kubectl delete $policies $ours"
run "kubectl delete cronjob renew -n image-webhook"

heading 'The policies in the files are not in the API:'
expect_failure 'not found' "kubectl delete validatingadmissionpolicy image-webhook.static.k8s.io"
run "kubectl get $registrations,$policies $ours"

heading 'Without any registration, a pod with the tag latest is still denied:'
expect_failure 'denied request' "kubectl run nginx --image=nginx:latest -n $demo"

heading 'And images are still mirrored:'
run "kubectl run nginx --image=nginx:1.25 -n $demo --dry-run=server -o jsonpath='{.spec.containers[0].image}{\"\\n\"}'"

heading 'Install the webhook again:'
scripts/install.sh
