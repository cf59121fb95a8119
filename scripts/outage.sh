#!/usr/bin/env bash
# Shows what happens while no server of the webhook answers: new images of pods
# are refused, and nothing else is. The webhook is back at the end, however the
# script ends.
#
# Examples:
#   # On the cluster that kubectl points at
#   scripts/outage.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh

while_away() {
	say 'The webhook goes away:'
	run 'kubectl scale deployment/webhook --replicas=0 -n image-webhook'
	run 'kubectl delete pod -l app.kubernetes.io/component=webhook -n image-webhook --grace-period=1'

	say 'A new pod is refused (the last words depend on the network):'
	refused 'failed calling webhook' "kubectl run nginx --image=nginx:1.25 -n $demo"

	say 'A workload is not, nor is a change of a pod that is there, nor its end:'
	run "kubectl create deployment nginx --image=nginx:1.25 --dry-run=server -n $demo"
	run "kubectl label pod older tier=front -n $demo"
	run "kubectl delete pod older --now -n $demo"

	say "Nobody asks it about the pods of kube-system, so that the cluster's own can start:"
	run "kubectl run $demo --image=registry.k8s.io/pause:3.10 --dry-run=server -n kube-system"
}

back() {
	say 'The webhook comes back:'
	run "kubectl scale deployment/webhook --replicas=$replicas -n image-webhook"
	run 'kubectl rollout status deployment/webhook -n image-webhook --timeout=60s'
	asked_again
}

# asked_again waits until the API server reaches a server: the rules that lead to
# it follow a moment after the rollout.
asked_again() {
	local said end=$((SECONDS + 30))
	while ! said=$(kubectl run "probe-$$" --image=registry.k8s.io/pause:3.10 --dry-run=server --request-timeout=3s -n "$demo" 2>&1); do
		[ "$SECONDS" -lt "$end" ] || fail "the webhook does not answer: $said"
		sleep 0.2
	done
}

needs_webhook
[ -n "$(kubectl get nodes -o name)" ] || fail "without nodes the webhook is no pod that could go away: \`make up\` makes a cluster"
fresh_namespace
replicas=$(kubectl get deployment webhook -n image-webhook -o jsonpath='{.spec.replicas}')
if [ "$replicas" -eq 0 ]; then # of a run that was killed
	replicas=2
	back
fi
asked_again
kubectl run older --image=registry.k8s.io/pause:3.10 -n "$demo" >/dev/null

# In a shell of its own, which Ctrl-C ends, while this one goes on.
trap : INT TERM HUP
set +e
(
	trap - INT TERM HUP
	set -e
	while_away
)
status=$?
set -e
back
exit "$status"
