#!/bin/sh
# Unpacks Debian's libseccomp-dev for arm64 into the directory given, for the
# cross-build of runc. It keeps apt's lists and cache in there too: this machine's
# own packages and architectures stay as they are.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d "$out/apt.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
apt() {
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$work/lists" \
		-o Dir::Cache="$work/cache" -o Dir::State::status=/dev/null -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}
apt update
cd "$work"
apt download libseccomp-dev
dpkg-deb -x libseccomp-dev_*_arm64.deb "$out"
