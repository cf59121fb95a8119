# shellcheck shell=bash
# What the demos by hand have in common. They work on the cluster that kubectl
# points at. One that is none of kind's is refused, unless ANY_CLUSTER=1 is set.
. scripts/shared.sh
no_arguments "$@"

# demo is the namespace of the demos' pods.
demo=image-webhook-demo

# run LINE: shows a command line as a person types it, and runs it.
run() {
	printf '\n$ %s\n' "$1"
	eval "$1"
}

# soon LINE: shows a command line, and runs it until it succeeds, for ten seconds.
soon() {
	printf '\n$ %s\n' "$1"
	for _ in $(seq 50); do
		eval "$1" 2>/dev/null && return
		sleep 0.2
	done
	eval "$1"
}

# refused REASON LINE: is run for a command that the cluster must refuse with a
# message that has REASON in it.
refused() {
	local said
	printf '\n$ %s\n' "$2"
	if said=$(eval "$2" 2>&1); then
		printf '%s\n' "$said"
		fail "this should have been refused: \`make status\` shows how the webhook is"
	fi
	printf '%s\n' "$said"
	case $said in
	*"$1"*) ;;
	*) fail "this was not refused for the reason to be shown, which says \"$1\"" ;;
	esac
}

# say TEXT: what the next command is for.
say() { printf '\n--- %s\n' "$1"; }

# kind_only ends the script where a node of the cluster is none of kind's.
kind_only() {
	needs kubectl
	[ "${ANY_CLUSTER:-}" != 1 ] || return 0
	local nodes name provider
	nodes=$(kubectl get nodes --request-timeout=10s -o jsonpath='{range .items[*]}{.metadata.name} {.spec.providerID}{"\n"}{end}' 2>&1) ||
		fail "kubectl reaches no cluster whose nodes it may list (${nodes##*$'\n'}): \`make up\` makes one, and eval \"\$(bin/cluster env)\" points kubectl at it"
	[ -n "$nodes" ] ||
		fail "the cluster $(kubectl config current-context) has no nodes, so it is none of kind's: set ANY_CLUSTER=1 if you mean this cluster"
	while read -r name provider; do
		case $provider in
		kind://*) ;;
		*) fail "node $name of the cluster $(kubectl config current-context) is none of kind's: set ANY_CLUSTER=1 if you mean this cluster" ;;
		esac
	done <<<"$nodes"
}

# needs_webhook ends the script where the webhook is not installed.
needs_webhook() {
	[ -n "$(kubectl get deployment webhook -n image-webhook --ignore-not-found -o name)" ] ||
		fail "the webhook is not installed: scripts/install.sh installs it"
}

# fresh_namespace makes room for a demo's pods; those of an earlier run go.
fresh_namespace() {
	if [ "$(kubectl get namespace "$demo" --ignore-not-found -o jsonpath='{.status.phase}')" = Terminating ]; then
		kubectl wait --for=delete "namespace/$demo" --timeout=60s >/dev/null ||
			fail "the namespace $demo is being deleted and does not go: kubectl describe namespace $demo says why"
	fi
	kubectl create namespace "$demo" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
	kubectl delete pod --all -n "$demo" --now >/dev/null
	# Without controllers nobody makes one, and nobody asks for it.
	[ -z "$(kubectl get nodes -o name)" ] || kubectl wait --for=create serviceaccount/default -n "$demo" --timeout=30s >/dev/null
}

kind_only
