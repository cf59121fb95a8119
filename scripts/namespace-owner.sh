#!/usr/bin/env bash
# Shows that a user owns the namespace that the user creates: as an administrator of only this
# namespace, with a quota, until another user becomes the owner. The users alice and bob do
# not have to exist: an administrator impersonates them with --as.
#
# Examples:
#   # On the cluster of kubectl's current context
#   scripts/install-namespace-owner.sh
#   scripts/namespace-owner.sh
#
#   # On the API server of `make controlplane`, which has no nodes
#   eval "$(bin/controlplane env)"
#   ANY_CLUSTER=1 scripts/namespace-owner.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo-functions.sh
needs_webhook
[ -n "$(kubectl get mutatingwebhookconfiguration image-webhook-namespace-owner --ignore-not-found -o name)" ] ||
	fail "the manifests for the owners of namespaces are not installed: run scripts/install-namespace-owner.sh"

# wait_until_stamped waits until the API server knows the rights of alice, and calls the
# webhook.
wait_until_stamped() {
	local owner end=$((SECONDS + 30))
	until owner=$(kubectl create namespace "$demo-probe" --dry-run=server --as=alice -o jsonpath='{.metadata.annotations.image-webhook\.dev/owner}' 2>&1) && [ "$owner" = alice ]; do
		[ "$SECONDS" -lt "$end" ] || fail "the webhook does not write the owner of a new namespace: ${owner:-the owner is empty}: run scripts/install-namespace-owner.sh again"
		sleep 0.2
	done
}

# Delete what an earlier run has left.
kubectl delete "namespace/$alice" "namespace/$bob" "clusterrolebinding/$demo" --ignore-not-found >/dev/null

heading 'An administrator lets Alice and Bob create namespaces:'
run "kubectl create clusterrolebinding $demo --clusterrole=image-webhook-namespace-creator --user=alice --user=bob"
wait_until_stamped

heading 'Alice and Bob each create a namespace, and Alice waits until she has rights in hers:'
run "kubectl create namespace $bob --as=bob"
run "kubectl create namespace $alice --as=alice"
run "kubectl wait --for=condition=image-webhook.dev/OwnerBound namespace/$alice --timeout=30s --as=alice" ||
	fail "namespace $alice is not ready: kubectl describe namespace $alice shows why"

heading 'The webhook wrote the owner into an annotation; a label says that the namespace is ready:'
run "kubectl get namespace $alice -o jsonpath='{.metadata.annotations}{\"\n\"}{.metadata.labels}{\"\n\"}'"

heading 'Alice is an administrator of her namespace:'
run "kubectl auth can-i create rolebindings -n $alice --as=alice" ||
	fail "alice has no rights in namespace $alice: kubectl describe rolebindings -n $alice shows what she has"
if [ -n "$(kubectl get deployment mirror -n mirror --ignore-not-found -o name 2>/dev/null)" ]; then
	run "kubectl run web --image=nginx:1.25 -n $alice --as=alice"
	run "kubectl wait --for=condition=Ready pod/web -n $alice --timeout=60s --as=alice" ||
		fail "the pod is not ready: kubectl describe pod web -n $alice shows why"
else # no node, or no image that a node can pull
	run "kubectl create deployment web --image=nginx:1.25 -n $alice --as=alice"
fi

heading 'Alice has no rights in the namespace of Bob:'
expect_failure 'is forbidden' "kubectl get pods -n $bob --as=alice"

heading 'Alice cannot create a namespace that belongs to Bob:'
expect_failure 'cannot create a namespace with the owner "bob"' "kubectl create --as=alice -f - <<EOF
apiVersion: v1
kind: Namespace
metadata:
  name: $demo-other
  annotations:
    image-webhook.dev/owner: bob
EOF"

heading 'Alice cannot change the owner of her namespace:'
expect_failure 'is forbidden' "kubectl annotate namespace $alice image-webhook.dev/owner=bob --overwrite --as=alice"

heading 'The quota of a namespace allows two load balancers:'
run "kubectl create service loadbalancer first --tcp=80 -n $alice --as=alice"
run "kubectl create service loadbalancer second --tcp=80 -n $alice --as=alice"
expect_failure 'exceeded quota' "kubectl create service loadbalancer third --tcp=80 -n $alice --as=alice"

heading 'An administrator hands the namespace over to Bob, who gets the rights that Alice loses:'
run "kubectl annotate namespace $alice image-webhook.dev/owner=bob --overwrite"
retry "kubectl create configmap prices --from-literal=tea=3 -n $alice --as=bob" ||
	fail "bob has no rights in namespace $alice: kubectl describe namespace $alice shows why"
expect_failure 'is forbidden' "kubectl get configmaps -n $alice --as=alice"
