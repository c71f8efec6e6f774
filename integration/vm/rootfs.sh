#!/bin/sh
# Makes the virtual machine's root file system, kernel and initrd, once: they
# are kept below the directory given, under a name that changes with this
# script. Prints where they are: root.img, vmlinuz, initrd.img.
#
# It is Debian 12 with systemd as PID 1 and cgroup v2. What is tested comes on a
# second disk, whose run.sh the unit below runs; then the machine powers off.
set -eu
umask 022
exec 3>&1 >&2 # only the answer is for standard output
cache=$1
key=$(sha256sum "$0" | cut -c 1-12)
[ "$(uname -m)" = x86_64 ] || { echo "the virtual machine is an x86_64: this is $(uname -m)"; exit 1; }
dir=$cache/$key
if [ -e "$dir/root.img" ]; then
	echo "$dir" >&3
	exit
fi
mkdir -p "$cache"
# One at a time; another one may have made it while this one waited.
exec 9>"$cache/lock"
flock 9
if [ -e "$dir/root.img" ]; then
	echo "$dir" >&3
	exit
fi
echo "making the virtual machine's root file system in $dir"
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
root=$work/root

# The mirror that this machine itself uses.
mirror=$(sed -n 's/^URIs: *\([^ ]*\/debian\/*\)$/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\/debian\/*\) .*/\2/p' \
	/etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null | head -n 1)
debootstrap --variant=minbase \
	--include=systemd-sysv,dbus,udev,kmod,iproute2,nftables,iptables,busybox-static,containerd,linux-image-cloud-amd64 \
	bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >"$work/log" 2>&1 9>&- || {
	cat "$work/log"
	exit 1
}
echo podd-vm >"$root/etc/hostname"
echo '127.0.0.1 localhost podd-vm' >"$root/etc/hosts"
echo '/dev/vda / ext4 rw,noatime 0 1' >"$root/etc/fstab"
cat >"$root/etc/systemd/system/podd-test.service" <<'UNIT'
[Unit]
Description=What the second disk brings
After=basic.target dbus.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
Delegate=yes
ExecStart=/bin/sh -c 'mkdir -p /payload && mount -o ro /dev/vdb /payload && exec /payload/run.sh'
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl enable -q podd-test.service
# The tests start it when they need it.
chroot "$root" systemctl disable -q containerd.service
# Nothing that takes time or writes on the console by itself.
chroot "$root" systemctl mask -q getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd.service systemd-timesyncd.service
cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
cp "$root"/boot/initrd.img-* "$work/initrd.img"
rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale
mkfs.ext4 -q -d "$root" -E root_owner=0:0 "$work/root.img" 3G >/dev/null
rm -rf "$root" "$cache/$key" 9>&-
chmod 755 "$work"
mv "$work" "$dir"
# Older ones are of no use any more.
for old in "$cache"/*/; do
	[ "$old" = "$dir/" ] || rm -rf "$old"
done
echo "$dir" >&3
