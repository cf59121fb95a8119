# shellcheck shell=sh
# Functions for all scripts. The comment at the top of a script is its help.

# fail TEXT prints an error and ends the script.
fail() {
	printf '%s: %s\n' "$0" "$1" >&2
	exit 1
}

# help_or_go_on "$@" prints the help and ends the script if the first argument asks for it.
help_or_go_on() {
	case ${1-} in
	-h | --help) ;;
	*) return 0 ;;
	esac
	file=$0
	[ -e "$file" ] || file=scripts/${0##*/} # $0 can be relative to the directory that the script has left
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$file"
	exit 0
}

# no_arguments "$@" prints the help, or ends the script if there is any other argument.
no_arguments() {
	help_or_go_on "$@"
	[ $# -eq 0 ] || mistake "unexpected argument \"$1\""
}

# mistake TEXT ends the script because of an invalid command line.
mistake() {
	printf '%s: %s: see %s --help\n' "$0" "$1" "$0" >&2
	exit 2
}

# needs PROGRAM ends the script if the program is not on the PATH.
needs() {
	command -v "$1" >/dev/null && return
	# shellcheck disable=SC2016 # the user's shell evaluates it
	case $1 in
	go) fail 'go is not on the PATH: install it from https://go.dev/dl' ;;
	kubectl) fail 'kubectl is not on the PATH: run `make up`, then eval "$(bin/cluster env)"' ;;
	*) fail "$1 is not on the PATH: install it" ;;
	esac
}

# choose_marks FD sets done_mark and failed_mark: in color if FD is a terminal, unless
# NO_COLOR is set. Package progress uses the same marks.
# shellcheck disable=SC2034 # the scripts use them
choose_marks() {
	done_mark=✓ failed_mark=✗
	if [ -t "$1" ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-}" != dumb ]; then
		done_mark=$(printf '\033[32m✓\033[0m') failed_mark=$(printf '\033[31m✗\033[0m')
	fi
}

# run_step NAME COMMAND [ARG...] runs a command and shows its progress: see scripts/step.sh.
# The script defines step_detail LOG, which sets detail to what the command has done so far.
run_step() {
	name=$1
	shift
	choose_marks 2
	log=$(mktemp)
	started=$(date +%s)
	next=10
	trap 'kill "$running" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
	"$@" >"$log" 2>&1 &
	running=$!
	while kill -0 "$running" 2>/dev/null; do
		sleep 0.1
		if [ $(($(date +%s) - started)) -ge $next ]; then
			step_detail "$log"
			echo "  … $name, ${next}s so far${detail:+: $detail}" >&2
			next=$((next + 10))
		fi
	done
	wait "$running"
	status=$?
	seconds=$(($(date +%s) - started))
	if [ "$status" -ne 0 ]; then
		echo "$failed_mark $name (${seconds}s)" >&2
		cat "$log" >&2
	elif [ "$seconds" -ge 3 ]; then
		echo "$done_mark $name (${seconds}s)" >&2
	fi
	rm -f "$log"
	trap - INT TERM
	return "$status"
}
