// Package systemd talks to systemd: readiness, status, watchdog. It is the only importer of
// go-systemd.
//
// cmd/podd imports it.
package systemd
