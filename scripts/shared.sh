# shellcheck shell=sh
# What the scripts have in common. A script's help is the comment at its top.

# fail TEXT: ends the script.
fail() {
	printf '%s: %s\n' "$0" "$1" >&2
	exit 1
}

# help_or_go_on "$@": shows the help if that is asked for.
help_or_go_on() {
	case ${1-} in
	-h | --help) ;;
	*) return 0 ;;
	esac
	file=$0
	[ -e "$file" ] || file=scripts/${0##*/} # the script has left the folder that it was named from
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$file"
	exit 0
}

# no_arguments "$@": shows the help, or refuses what else is asked for.
no_arguments() {
	help_or_go_on "$@"
	[ $# -eq 0 ] || mistake "unexpected argument \"$1\""
}

# mistake TEXT: is for what was typed.
mistake() {
	printf '%s: %s: see %s --help\n' "$0" "$1" "$0" >&2
	exit 2
}

# needs PROGRAM: ends the script where there is no such program.
needs() {
	command -v "$1" >/dev/null && return
	# shellcheck disable=SC2016 # the person's shell is to eval it
	case $1 in
	go) fail "there is no go on the PATH: https://go.dev/dl has it" ;;
	kubectl) fail 'there is no kubectl on the PATH: eval "$(bin/cluster env)" brings the one of `make up`' ;;
	*) fail "there is no $1 on the PATH" ;;
	esac
}

# choose_marks FD: sets done_mark and failed_mark for that output: in colour on a
# terminal, unless NO_COLOR is set. Package progress does the same.
# shellcheck disable=SC2034 # which are for the scripts
choose_marks() {
	done_mark=✓ failed_mark=✗
	if [ -t "$1" ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-}" != dumb ]; then
		done_mark=$(printf '\033[32m✓\033[0m') failed_mark=$(printf '\033[31m✗\033[0m')
	fi
}
