#!/bin/sh
# Installs the OS packages that podd needs to be built and shown, with --tests
# those that its tests need as well, or those named: the ones that are missing,
# and says which. It asks nothing.
set -eu
# gcc, libc6-dev, libseccomp-dev, pkg-config: runc. busybox-static: images for
# the demo and the tests. curl: the demo.
build="gcc libc6-dev libseccomp-dev pkg-config busybox-static curl"
# nftables, iptables: the leak check. jq: the session in docs/api-guide.md.
# gcc-aarch64-linux-gnu: the check of the pause program for arm64.
# docker-registry: pulls from a real one. rsyslog: a real log shipper.
# prometheus: it, and promtool. lintian, man-db: what checks the package.
# systemd: what checks its units. dbus: a bus for the tests.
tests="nftables iptables jq gcc-aarch64-linux-gnu libc6-dev-arm64-cross docker-registry rsyslog prometheus lintian man-db systemd dbus"
case "${1:-}" in
"") wanted=$build ;;
--tests) wanted="$build $tests" ;;
*) wanted=$* ;;
esac
missing=""
for p in $wanted; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing OS packages:$missing"
[ "$(id -u)" = 0 ] || { echo "that needs root: run make as root, or install them yourself" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list
install() { apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; }
