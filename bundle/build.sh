#!/bin/sh
# Builds the pinned runtime programs into the directory given: containerd, its
# shim and ctr, runc (static, with seccomp), and the CNI plugins podd uses.
# Their versions are those of go.mod beside this file. They are for this machine's
# architecture, or for $GOARCH.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
version() { go list -m -f '{{.Version}}' "$1"; }

containerd=github.com/containerd/containerd/v2
plugins=github.com/containernetworking/plugins/plugins
# podd needs neither CRI nor the snapshotters left out; grpcnotrace keeps
# text/template, and with it all unused methods, out of the binaries.
CGO_ENABLED=0 go build -trimpath \
	-tags 'no_cri no_btrfs no_zfs no_devmapper no_tracing grpcnotrace osusergo netgo' \
	-ldflags "-s -w -X $containerd/version.Version=$(version $containerd)" \
	-o "$out/" \
	$containerd/cmd/containerd $containerd/cmd/containerd-shim-runc-v2 $containerd/cmd/ctr \
	$plugins/main/bridge $plugins/ipam/host-local $plugins/main/loopback $plugins/meta/portmap

# runc needs C for what it does before the Go runtime starts, and libseccomp.
if [ "$(go env GOARCH)" != "$(go env GOHOSTARCH)" ]; then
	[ "$(go env GOARCH)" = arm64 ] || { echo "no cross-build of runc for $(go env GOARCH)" >&2; exit 1; }
	sysroot=$out/.sysroot
	[ -d "$sysroot/usr" ] || ../tools/arm64-libseccomp.sh "$sysroot"
	export CC=aarch64-linux-gnu-gcc PKG_CONFIG_SYSROOT_DIR="$sysroot" PKG_CONFIG_LIBDIR="$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig"
fi
runc=$(version github.com/opencontainers/runc)
CGO_ENABLED=1 go build -trimpath -tags 'seccomp netgo osusergo' \
	-ldflags "-s -w -extldflags -static -X main.version=${runc#v}" \
	-o "$out/runc" github.com/opencontainers/runc
