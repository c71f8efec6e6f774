// Package integration tests podd as a whole on real containerd, runc and CNI, as root.
//
// Nothing imports it.
package integration
