#!/bin/sh
# Unpacks the distribution's own containerd and runc into the directory given,
# for the tests. They are not installed: the machine may have another containerd.
set -eu
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt's own user writes there
cd "$work"
fetch() { apt-get download -qq containerd runc 2>/dev/null; }
fetch || { apt-get update -qq && apt-get download -qq containerd runc; }
for package in *.deb; do
	dpkg-deb -x "$package" x
done
cd "$OLDPWD"
mkdir -p "$out"
cp "$work"/x/usr/bin/containerd "$work"/x/usr/bin/ctr "$work"/x/usr/bin/containerd-shim-runc-v2 "$work"/x/usr/sbin/runc "$out/"
