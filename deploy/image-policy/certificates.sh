#!/bin/sh
# Makes what proves the API server and the webhook to each other, in a folder:
#
#   ca.crt                    whom both trust
#   server.crt, server.key    the webhook, on 127.0.0.1
#   client.crt, client.key    the API server
#
#   sudo deploy/image-policy/certificates.sh /etc/kubernetes/image-webhook
#
# They live for a year. See README.md on making them anew. The CA's key is not kept.
set -eu
umask 077
dir=${1:?the folder to write to is missing, such as /etc/kubernetes/image-webhook}
command -v openssl >/dev/null || {
	echo "$0: install openssl" >&2
	exit 1
}
mkdir -p "$dir"
work=$(mktemp -d "$dir/.new.XXXXXX") # where a move is one step
# The words of openssl are shown if it fails.
# shellcheck disable=SC2154 # status is assigned in the trap
trap 'status=$?; [ $status -eq 0 ] || cat "$work/log" >&2; rm -rf "$work"' EXIT

trap 'exit 130' INT TERM HUP # or the line above would not be run

# authority: a key and a certificate that sign others.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
		-subj "/CN=image-webhook-ca" -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log"
}

# issue NAME EXTENSION...: a key, and a certificate of the authority.
issue() {
	name=$1
	shift
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj "/CN=image-webhook-$name" -keyout "$work/$name.key" -out "$work/$name.csr" 2>"$work/log"
	printf '%s\n' "$@" >"$work/$name.ext"
	openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 365 \
		-extfile "$work/$name.ext" -out "$work/$name.crt" 2>"$work/log"
}

authority
issue server "subjectAltName=IP:127.0.0.1" "extendedKeyUsage=serverAuth"
issue client "extendedKeyUsage=clientAuth"
for file in ca.crt server.crt server.key client.crt client.key; do
	mv "$work/$file" "$dir/$file"
done
echo "$dir: ca.crt, server.crt, server.key, client.crt, client.key, for a year"
