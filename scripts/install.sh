#!/bin/sh
# Installs the webhook with kubectl, command by command, into the cluster that
# kubectl points at. The nodes must be able to get the image that the manifests
# name (`make up` puts it on the nodes of its own cluster).
#
# It can be run again: the Jobs of an earlier run are removed first.
set -eu
cd "$(dirname "$0")/../deploy"

run() {
	echo "\$ $*"
	"$@"
}

run kubectl apply -f 01-namespace.yaml
run kubectl apply -f 02-rbac.yaml

run kubectl delete job certgen patch-webhookconfigure -n image-webhook --ignore-not-found
run kubectl create -f 03-certgen.yaml
run kubectl wait --for=condition=complete job -l job=certgen -n image-webhook --timeout=120s

run kubectl apply -f 04-webhook.yaml
run kubectl rollout status deployment/webhook -n image-webhook --timeout=120s

run kubectl apply -f 05-webhookconfigure.yaml

run kubectl create -f 06-patch-webhookconfigure.yaml
run kubectl wait --for=condition=complete job -l job=patch-webhookconfigure -n image-webhook --timeout=120s
