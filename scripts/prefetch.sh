#!/bin/sh
# Downloads the Go modules from which the node image, or the programs of a control plane,
# are compiled. scripts/compile.sh runs it while it compiles the tools.
#
#   scripts/prefetch.sh nodeimage|controlplane
#
# It does nothing if a part of Kubernetes has been compiled on this machine before. It also
# does nothing if no node image will be built: if KIND_NODE_IMAGE or ENGINE=none is set, or if
# the registry of kind's node image can probably be reached (its name resolves).
#
# Examples:
#   # Before the first `make demo`
#   scripts/prefetch.sh nodeimage
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/shared.sh
. scripts/shared.sh
help_or_go_on "$@"
kubernetes=$(printf '%s\n' tools/pins/kubernetes-* | sort -V | tail -n 1)
[ -z "${K8S:-}" ] || kubernetes=tools/pins/kubernetes-$K8S
trap 'kill "$downloader" 2>/dev/null; exit 143' TERM

# download MODULE PACKAGE... downloads what the packages of a module need.
download() {
	directory=$1
	shift
	go -C "$directory" list -deps "$@" >/dev/null &
	downloader=$!
	wait "$downloader"
}

case ${1-} in
nodeimage) [ -z "${KIND_NODE_IMAGE:-}" ] && [ "${ENGINE:-}" != none ] || exit 0 ;;
controlplane) ;;
'') mistake "expected nodeimage or controlplane" ;;
*) mistake "unexpected argument \"$1\"" ;;
esac
needs go
[ ! -d "${XDG_CACHE_HOME:-$HOME/.cache}/image-webhook/kubernetes" ] || exit 0
if [ "$1" = controlplane ]; then
	download "$kubernetes" go.etcd.io/etcd/server/v3 k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
	exit 0
fi
! getent hosts registry-1.docker.io >/dev/null || exit 0
download tools/pins/node tool
download "$kubernetes" tool
download tools/images/coredns .
