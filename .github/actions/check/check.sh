#!/bin/sh
# Downloads the plugin of kubectl for this runner, compares its checksum with that of the release, and runs
# `kubectl image-webhook check`. Later steps can run it too.
#
# The environment is that of action.yaml. The exit code is that of the check: 1 if an image is not allowed,
# 2 if something could not be read, or if the plugin could not be downloaded.
set -eu

fail() {
	echo "::error title=image-webhook::$1"
	exit 2
}

version=${VERSION:-$ACTION_REF}
case $version in
*[!A-Za-z0-9.+-]*) version=invalid ;;
v[0-9]*.[0-9]*.[0-9]*) ;;
*) version=invalid ;;
esac
if [ "$version" = invalid ]; then
	[ -z "$VERSION" ] || fail "the input version is not a release: use one such as v1.2.3"
	fail "the ref of the action is not a release: set the input version to one, such as v1.2.3"
fi

extension=tar.gz program=kubectl-image_webhook
case $RUNNER_OS in
Linux) system=linux ;;
macOS) system=darwin ;;
Windows) system=windows extension=zip program=$program.exe ;;
*) fail "there is no plugin for $RUNNER_OS: use a runner with Linux, macOS or Windows" ;;
esac
case $RUNNER_ARCH in
X64) architecture=amd64 ;;
ARM64) architecture=arm64 ;;
*) fail "there is no plugin for $RUNNER_ARCH: use a runner with X64 or ARM64" ;;
esac

archive=kubectl-image_webhook_${version#v}_${system}_$architecture.$extension
directory=$RUNNER_TEMP/image-webhook-$version
if [ ! -e "$directory/verified" ]; then
	mkdir -p "$directory"
	for file in checksums.txt "$archive"; do
		curl --fail --silent --show-error --location --retry 3 --output "$directory/$file" \
			"${RELEASES%/}/$version/$file" || fail "cannot download $file of release $version: check the version and the network"
	done
	# macOS has no sha256sum before version 15.
	command -v sha256sum >/dev/null || sha256sum() { shasum --algorithm 256 "$@"; }
	expected=$(awk -v name="$archive" '$2 == name {print $1}' "$directory/checksums.txt")
	[ -n "$expected" ] || fail "checksums.txt of release $version does not have $archive: report this to the project"
	actual=$(cd "$directory" && sha256sum "$archive")
	[ "${actual%% *}" = "$expected" ] || fail "$archive has another checksum than in checksums.txt: do not use it, and report this to the project"
	case $extension in
	zip) unzip -q -o "$directory/$archive" -d "$directory" ;;
	*) tar -xzf "$directory/$archive" -C "$directory" ;;
	esac
	touch "$directory/verified"
	[ -z "${GITHUB_PATH-}" ] || echo "$directory" >>"$GITHUB_PATH"
fi

# Each line of an input is one argument: it is neither split at spaces nor expanded.
set -f
IFS='
'
set -- check --output="$OUTPUT"
[ -z "$CONFIG" ] || set -- "$@" --config="$CONFIG"
# shellcheck disable=SC2086 # split at line breaks
set -- "$@" $ARGUMENTS -- $PATHS
if [ -n "$REPORT" ]; then
	exec "$directory/$program" "$@" >"$REPORT"
fi
exec "$directory/$program" "$@"
