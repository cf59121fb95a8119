#!/usr/bin/env bash
# Shows what happens while no replica of the webhook answers: the API server rejects new pods
# and new images in existing pods, and nothing else. The script starts the webhook again when
# it ends, even if it fails.
#
# Examples:
#   # On the cluster of kubectl's current context
#   scripts/outage.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh

show_outage() {
	heading 'Stop the webhook:'
	run 'kubectl scale deployment/webhook --replicas=0 -n image-webhook'
	run 'kubectl delete pod -l app.kubernetes.io/component=webhook -n image-webhook --grace-period=1'

	if [ -n "$(kubectl get validatingwebhookconfigurations image-webhook --ignore-not-found -o name)" ]; then
		heading 'A new pod is rejected (the end of the message depends on the network):'
		expect_failure 'failed calling webhook' "kubectl run nginx --image=nginx:1.25 -n $demo"
	else
		heading 'In the hybrid form, a new pod is created with its original image, and latest is still denied:'
		run "kubectl run nginx --image=nginx:1.25 --dry-run=server -n $demo -o jsonpath='{.spec.containers[0].image}{\"\\n\"}'"
		expect_failure 'uses image' "kubectl run nginx --image=nginx:latest -n $demo"
	fi

	heading 'A workload can be created, and an existing pod can be changed and deleted:'
	run "kubectl create deployment nginx --image=nginx:1.25 --dry-run=server -n $demo"
	run "kubectl label pod older tier=front -n $demo"
	run "kubectl delete pod older --now -n $demo"

	heading "The webhook is not called for pods in kube-system, so the cluster's own pods can start:"
	run "kubectl run $demo --image=registry.k8s.io/pause:3.10 --dry-run=server -n kube-system"
}

start_webhook() {
	heading 'Start the webhook again:'
	run "kubectl scale deployment/webhook --replicas=$replicas -n image-webhook"
	run 'kubectl rollout status deployment/webhook -n image-webhook --timeout=60s'
	wait_until_called
}

# wait_until_called waits until the API server reaches a replica: the network rules of the
# Service change a moment after the rollout.
wait_until_called() {
	local output end=$((SECONDS + 30))
	while ! output=$(kubectl run "probe-$$" --image=registry.k8s.io/pause:3.10 --dry-run=server --request-timeout=3s -n "$demo" 2>&1); do
		[ "$SECONDS" -lt "$end" ] || fail "the webhook does not answer: $output"
		sleep 0.2
	done
}

needs_webhook
[ -n "$(kubectl get nodes -o name)" ] || fail "the cluster has no nodes, so the webhook does not run in pods: \`make up\` creates a cluster with a node"
reset_namespace
replicas=$(kubectl get deployment webhook -n image-webhook -o jsonpath='{.spec.replicas}')
if [ "$replicas" -eq 0 ]; then # an earlier run was killed
	replicas=2
	start_webhook
fi
wait_until_called
kubectl run older --image=registry.k8s.io/pause:3.10 -n "$demo" >/dev/null

# Ctrl-C ends the subshell, and this shell starts the webhook again.
trap : INT TERM HUP
set +e
(
	trap - INT TERM HUP
	set -e
	show_outage
)
status=$?
set -e
start_webhook
exit "$status"
