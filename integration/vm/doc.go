// Package vm tests podd on a real systemd and cgroup v2: in a virtual machine, which QEMU emulates, so that no
// hardware support is needed. The root file system is Debian's (rootfs.sh) and kept between runs; the tests
// that run inside are those of package integration, with the build tag vm, and come on a second disk.
//
// Nothing imports it.
package vm
