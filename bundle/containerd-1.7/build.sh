#!/bin/sh
# Builds the containerd 1.7 of go.mod beside this file, its shim and ctr into
# the directory given. It is for the tests.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
containerd=github.com/containerd/containerd
version=$(go list -m -f '{{.Version}}' $containerd)
CGO_ENABLED=0 go build -trimpath \
	-tags 'no_cri no_btrfs no_zfs no_devmapper no_aufs osusergo netgo' \
	-ldflags "-s -w -X $containerd/version.Version=${version#v}" \
	-o "$out/" \
	$containerd/cmd/containerd $containerd/cmd/containerd-shim-runc-v2 $containerd/cmd/ctr
