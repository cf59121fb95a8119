#!/usr/bin/env bash
# Shows what happens while no server of the webhook answers: new images of pods
# have to wait, and nothing else does. The webhook is back at the end, however the
# script ends.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/byhand.sh

replicas=$(kubectl get deployment webhook -n image-webhook -o jsonpath='{.spec.replicas}' 2>/dev/null) ||
	fail "the webhook is not installed: scripts/install.sh installs it"
[ "$replicas" -gt 0 ] || replicas=2 # of a run that was killed
back() {
	say 'The webhook comes back:'
	run "kubectl scale deployment/webhook --replicas=$replicas -n image-webhook"
	run 'kubectl rollout status deployment/webhook -n image-webhook --timeout=60s'
	asked_again
}

# asked_again waits until the API server reaches a server: the rules that lead to
# it follow a moment after the rollout.
asked_again() {
	for _ in $(seq 100); do
		kubectl run probe --image=registry.k8s.io/pause:3.10 --dry-run=server -n "$demo" >/dev/null 2>&1 && return
		sleep 0.2
	done
	fail 'the webhook does not answer: kubectl get pods -n image-webhook shows its servers'
}
fresh_namespace
kubectl run older --image=registry.k8s.io/pause:3.10 -n "$demo" >/dev/null

say 'The webhook goes away:'
trap back EXIT
run 'kubectl scale deployment/webhook --replicas=0 -n image-webhook'
run 'kubectl delete pod -l app.kubernetes.io/component=webhook -n image-webhook --grace-period=1'

say 'A new pod has to wait for it:'
refused "kubectl run nginx --image=nginx:1.25 -n $demo"

say 'A workload does not, nor does a change of a pod that is there, nor its end:'
run "kubectl create deployment nginx --image=nginx:1.25 --dry-run=server -n $demo"
run "kubectl label pod older tier=front -n $demo"
run "kubectl delete pod older --now -n $demo"

say 'Nobody asks it about the pods of kube-system, nor about its own, so that both can come back:'
run 'kubectl run probe --image=registry.k8s.io/pause:3.10 --dry-run=server -n kube-system'
