#!/bin/sh
# Creates the certificates that the API server and the webhook use to authenticate each
# other, in a directory:
#
#   ca.crt, ca.key            the CA that both trust, valid for ten years
#   server.crt, server.key    the webhook on 127.0.0.1, valid for one year
#   client.crt, client.key    the API server, valid for one year
#
# Run it again to renew the server and client certificates. It keeps the CA, so that both
# sides trust each other while only one has loaded its new certificate.
#
# Examples:
#   # On a control-plane node
#   sudo deploy/image-policy/certificates.sh /etc/kubernetes/image-webhook
set -eu
case ${1-} in -h | --help)
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
esac
umask 077
[ $# -eq 1 ] || {
	echo "usage: $0 DIRECTORY, such as /etc/kubernetes/image-webhook" >&2
	exit 2
}
dir=$1
command -v openssl >/dev/null || {
	echo "$0: openssl is not on the PATH: install it" >&2
	exit 1
}
mkdir -p "$dir"
work=$(mktemp -d -p "$dir") # on the same file system, so that mv is atomic
# Prints the output of openssl if it fails.
# shellcheck disable=SC2154 # status is assigned in the trap
trap 'status=$?; [ $status -eq 0 ] || cat "$work/log" >&2; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP # otherwise the EXIT trap does not run
: >"$work/log"

# authority creates the CA: its key and certificate.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
		-subj "/CN=image-webhook-ca" -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log"
	mv "$work/ca.key" "$work/ca.crt" "$dir"
}

# issue NAME EXTENSION... creates a key and a certificate signed by the CA.
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
echo "created server.crt and client.crt with their keys in $dir, signed by ca.crt and valid for one year"
