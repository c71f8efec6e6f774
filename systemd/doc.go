// Package systemd talks to systemd: readiness, status, watchdog, slices. It is the only importer of
// go-systemd. Where podd is not a unit of systemd's, every call does nothing.
//
// cmd/podd imports it.
package systemd
