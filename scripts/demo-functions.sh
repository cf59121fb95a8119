# shellcheck shell=bash
# Functions of the scripts that change a cluster. They use the cluster of kubectl's current
# context. If kind did not create that cluster, they stop, unless ANY_CLUSTER=1 is set.
. scripts/shared.sh
no_arguments "$@"

# demo is the namespace of the demos' pods.
demo=image-webhook-demo
# alice and bob are the namespaces of the demo about owners.
# shellcheck disable=SC2034 # the scripts use them
alice=$demo-alice bob=$demo-bob

# heading TEXT says what the next command shows.
heading() { printf '\n--- %s\n' "$1"; }

# run LINE prints a command line as a user types it, and runs it.
run() {
	printf '\n$ %s\n' "$1"
	eval "$1"
}

# retry LINE prints a command line, and runs it until it succeeds, for up to ten seconds.
retry() {
	printf '\n$ %s\n' "$1"
	for _ in $(seq 50); do
		eval "$1" 2>/dev/null && return
		sleep 0.2
	done
	eval "$1"
}

# expect_failure TEXT LINE runs a command that must fail with a message that contains TEXT.
expect_failure() {
	local output
	printf '\n$ %s\n' "$2"
	if output=$(eval "$2" 2>&1); then
		printf '%s\n' "$output"
		fail "the command should fail, but succeeded: \`make status\` shows the state of the webhook"
	fi
	printf '%s\n' "$output"
	case $output in
	*"$1"*) ;;
	*) fail "the command should fail with \"$1\", but failed with another message" ;;
	esac
}

# kind_only ends the script if kind did not create all nodes of the cluster.
kind_only() {
	needs kubectl
	[ "${ANY_CLUSTER:-}" != 1 ] || return 0
	local nodes name provider
	nodes=$(kubectl get nodes --request-timeout=10s -o jsonpath='{range .items[*]}{.metadata.name} {.spec.providerID}{"\n"}{end}' 2>&1) ||
		fail "kubectl cannot list the nodes of a cluster: ${nodes##*$'\n'}: run \`make up\`, then eval \"\$(bin/cluster env)\""
	[ -n "$nodes" ] ||
		fail "cluster \"$(kubectl config current-context)\" has no nodes, so it was not created by kind: set ANY_CLUSTER=1 to use the cluster anyway"
	while read -r name provider; do
		case $provider in
		kind://*) ;;
		*) fail "node \"$name\" of cluster \"$(kubectl config current-context)\" was not created by kind: set ANY_CLUSTER=1 to use the cluster anyway" ;;
		esac
	done <<<"$nodes"
}

# needs_webhook ends the script if the webhook is not installed.
needs_webhook() {
	[ -n "$(kubectl get deployment webhook -n image-webhook --ignore-not-found -o name)" ] ||
		fail "the webhook is not installed: run scripts/install.sh"
}

# reset_namespace creates the namespace of the demos, and deletes the pods of an earlier
# run.
reset_namespace() {
	if [ "$(kubectl get namespace "$demo" --ignore-not-found -o jsonpath='{.status.phase}')" = Terminating ]; then
		kubectl wait --for=delete "namespace/$demo" --timeout=60s >/dev/null ||
			fail "namespace $demo is still being deleted: kubectl describe namespace $demo shows why"
	fi
	kubectl create namespace "$demo" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
	kubectl delete pod --all -n "$demo" --now >/dev/null
	# On a cluster with nodes, a controller creates the service account, and pods need it.
	[ -z "$(kubectl get nodes -o name)" ] || kubectl wait --for=create serviceaccount/default -n "$demo" --timeout=30s >/dev/null
}

kind_only
