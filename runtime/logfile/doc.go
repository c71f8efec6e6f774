// Package logfile writes and reads container logs in the CRI format.
//
// runtime imports it to write, cmd/podd to hand it to the agent for reading.
package logfile
