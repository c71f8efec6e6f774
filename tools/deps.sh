#!/bin/sh
# Installs the OS packages that podd needs to be built and tested, those that
# are missing, and says which; or those named. It asks nothing.
set -eu
# gcc, libc6-dev, libseccomp-dev, pkg-config: runc. busybox-static: images for
# the demo and the tests. curl: the demo. jq: the session in docs/api-guide.md. gcc-aarch64-linux-gnu: the check of
# the pause program for arm64. nftables, iptables: the leak check. docker-registry: pulls from a real one. rsyslog: a real log shipper. prometheus: it, and promtool. lintian, man-db: what checks the package. systemd: what checks its units. dbus: a bus for the tests.
wanted=${*:-"nftables iptables gcc libc6-dev libseccomp-dev pkg-config busybox-static curl jq gcc-aarch64-linux-gnu libc6-dev-arm64-cross docker-registry rsyslog prometheus lintian man-db systemd dbus"}
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
