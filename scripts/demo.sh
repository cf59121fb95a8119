#!/bin/sh
# Shows the webhook's two behaviours in the cluster of `make up`.
set -eu
cd "$(dirname "$0")/.."
go build -o bin/cluster ./tools/cluster
environment=$(bin/cluster env)
eval "$environment"

# run COMMAND...: as a person would type it, with what it prints. A denial is
# part of the show.
run() {
	printf '\n$ %s\n' "$*"
	"$@" || true
}

# The cluster may reach no registry, so a tiny program that only waits stands in
# for nginx under the name that the mirror gives it.
bin/cluster load --stand-in docker.mirror.example/library/nginx:1.25
kubectl delete pod web --ignore-not-found --now >/dev/null 2>&1

printf '\n--- A pod whose image can change under its name is denied:\n'
run kubectl run web --image=nginx:latest

printf '\n--- A pod with a fixed tag is created, with its image from the mirror:\n'
run kubectl run web --image=nginx:1.25
run kubectl wait --for=condition=Ready pod/web --timeout=60s
run kubectl get pod web -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image,STATUS:.status.phase

cat <<END

--- To go on by hand, in this shell:

eval "\$(bin/cluster env)"    # points kubectl at this cluster
kubectl run mine --image=registry.k8s.io/pause:3.10 --dry-run=server -o yaml
kubectl logs -n image-webhook -l app.kubernetes.io/component=webhook --prefix --tail=-1
make status                  # how the cluster and the webhook are
make e2e                     # the whole suite, on this cluster

--- To delete the cluster:

make down
END
