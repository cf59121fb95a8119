#!/bin/sh
# Makes what proves the API server and the webhook to each other, in a folder:
#
#   ca.crt, ca.key            whom both trust, for ten years
#   server.crt, server.key    the webhook, on 127.0.0.1, for a year
#   client.crt, client.key    the API server, for a year
#
# Examples:
#   # On a control-plane node
#   sudo deploy/image-policy/certificates.sh /etc/kubernetes/image-webhook
#
# Run again, it renews the last four and keeps the first two, so that both sides go on
# trusting each other while one has taken up its new pair and the other has not yet.
set -eu
case ${1-} in -h | --help)
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
esac
umask 077
[ $# -eq 1 ] || {
	echo "usage: $0 FOLDER, such as /etc/kubernetes/image-webhook" >&2
	exit 2
}
dir=$1
command -v openssl >/dev/null || {
	echo "$0: install openssl" >&2
	exit 1
}
mkdir -p "$dir"
work=$(mktemp -d -p "$dir") # where a move is one step
# The words of openssl are shown if it fails.
# shellcheck disable=SC2154 # status is assigned in the trap
trap 'status=$?; [ $status -eq 0 ] || cat "$work/log" >&2; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP # or the line above would not be run
: >"$work/log"

# authority: a key and a certificate that sign others.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
		-subj "/CN=image-webhook-ca" -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log"
	mv "$work/ca.key" "$work/ca.crt" "$dir"
}

# issue NAME EXTENSION...: a key, and a certificate of the authority.
issue() {
	name=$1
	shift
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj "/CN=image-webhook-$name" -keyout "$work/$name.key" -out "$work/$name.csr" 2>"$work/log"
	printf '%s\n' "$@" >"$work/$name.ext"
	openssl x509 -req -in "$work/$name.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
		-days 365 -extfile "$work/$name.ext" -out "$work/$name.crt" 2>"$work/log"
}

if ! [ -e "$dir/ca.crt" ] || ! [ -e "$dir/ca.key" ]; then
	authority
fi
issue server "subjectAltName=IP:127.0.0.1" "extendedKeyUsage=serverAuth"
issue client "extendedKeyUsage=clientAuth"
for file in server.key server.crt client.key client.crt; do
	mv "$work/$file" "$dir/$file"
done
echo "$dir: server.crt and client.crt with their keys for a year, of the CA in ca.crt"
