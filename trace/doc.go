// Package trace makes an OpenTelemetry trace of every start of a pod, with a span
// for every action, and sends it where the standard environment variables say. It
// is the only importer of OpenTelemetry.
//
// cmd/podd imports it.
package trace
