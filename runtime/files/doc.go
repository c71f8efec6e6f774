// Package files copies files out of and into a running container as tar
// archives, without a program in it. Package runtime imports it.
//
// A container's file system is what a process of it sees below
// /proc/<pid>/root: its volumes are there, and a mount that is read-only for it
// is read-only here. Every path is resolved by the kernel as if that were the
// root (openat2's RESOLVE_IN_ROOT), so that no link that the container made, or
// makes meanwhile, leads out of it.
package files
