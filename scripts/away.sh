#!/usr/bin/env bash
# Shows what happens while no server of the webhook answers: new images of pods
# are refused, and nothing else is. The webhook is back at the end, however the
# script ends.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/byhand.sh

needs_webhook
replicas=$(kubectl get deployment webhook -n image-webhook -o jsonpath='{.spec.replicas}')
back() {
	trap '' INT TERM HUP # a second Ctrl-C comes too late
	say 'The webhook comes back:'
	run "kubectl scale deployment/webhook --replicas=$replicas -n image-webhook"
	run 'kubectl rollout status deployment/webhook -n image-webhook --timeout=60s'
	asked_again
}

# asked_again waits until the API server reaches a server: the rules that lead to
# it follow a moment after the rollout.
asked_again() {
	for _ in $(seq 100); do
		kubectl run probe --image=registry.k8s.io/pause:3.10 --dry-run=server -n default >/dev/null 2>&1 && return
		sleep 0.2
	done
	fail 'the webhook does not answer: kubectl get pods -n image-webhook shows its servers'
}
if [ "$replicas" -eq 0 ]; then # of a run that was killed
	replicas=2
	back
	trap - INT TERM HUP
fi
fresh_namespace
kubectl run older --image=registry.k8s.io/pause:3.10 -n "$demo" >/dev/null

say 'The webhook goes away:'
trap back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
run 'kubectl scale deployment/webhook --replicas=0 -n image-webhook'
run 'kubectl delete pod -l app.kubernetes.io/component=webhook -n image-webhook --grace-period=1'

say 'A new pod is refused (the last words depend on the network):'
refused 'failed calling webhook' "kubectl run nginx --image=nginx:1.25 -n $demo"

say 'A workload is not, nor is a change of a pod that is there, nor its end:'
run "kubectl create deployment nginx --image=nginx:1.25 --dry-run=server -n $demo"
run "kubectl label pod older tier=front -n $demo"
run "kubectl delete pod older --now -n $demo"

say 'Nobody asks it about the pods of kube-system, nor about its own, so that both can come back:'
run 'kubectl run probe --image=registry.k8s.io/pause:3.10 --dry-run=server -n kube-system'
