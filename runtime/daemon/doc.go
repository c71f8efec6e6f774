// Package daemon keeps a private containerd running: it finds the bundled
// programs, writes a configuration, adopts the containerd that an earlier podd
// left or starts one, starts it again when it dies, and ends it in the end.
// Shims and containers never depend on it: they run on whatever happens to it.
//
// cmd/podd imports it.
package daemon
