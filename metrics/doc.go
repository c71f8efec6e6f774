// Package metrics serves Prometheus metrics and health over a snapshot. It is the only
// importer of client_golang.
//
// cmd/podd imports it.
package metrics
