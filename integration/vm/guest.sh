#!/bin/sh
# Runs inside the virtual machine, as the unit podd-test.service: the tests that
# came on this disk. The last line says how they ended.
echo "podd-test-vm: begins"
cd /payload/integration || exit 1
export PATH=/payload/bin:$PATH HOME=/root TMPDIR=/tmp
# An address of the host's own that is not loopback, as any machine has one.
ip link add outside type veth peer name far
ip address add 192.168.213.2/24 dev outside
ip link set outside up
ip link set far up
code=0
fact() { sed -n "s/.*podd\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
# The kernel's command line may name other tests than those on the disk.
only=$(fact run)
[ -n "$only" ] || ./cgroup.test -test.timeout 15m || code=$?
./integration.test -test.timeout 30m -test.v -test.parallel 2 -test.run "${only:-$(cat run)}" || code=$?
echo "podd-test-vm: exit $code after $(cut -d ' ' -f 1 /proc/uptime) s"
# An orderly shutdown instead of the unit's, which is none.
if [ "$(fact end)" = poweroff ]; then
	mkdir -p /run/systemd/system/podd-test.service.d
	printf '[Unit]\nSuccessAction=none\nFailureAction=none\n' >/run/systemd/system/podd-test.service.d/end.conf
	systemctl daemon-reload
	systemctl poweroff
fi
