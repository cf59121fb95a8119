#!/bin/sh
# Removes the webhook from the cluster that kubectl points at. The configurations
# go first: from then on the API server asks nobody, whatever happens next.
set -eu
cd "$(dirname "$0")/../deploy"

for file in 05-webhookconfigure.yaml 06-patch-webhookconfigure.yaml 04-webhook.yaml 03-certgen.yaml 02-rbac.yaml 01-namespace.yaml; do
	echo "\$ kubectl delete -f $file --ignore-not-found"
	kubectl delete -f "$file" --ignore-not-found
done
