// Package daemon keeps a private containerd running: its generated configuration, start,
// adoption, restart and end.
//
// cmd/podd imports it.
package daemon
