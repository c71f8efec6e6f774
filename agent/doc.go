// Package agent is the daemon: one worker goroutine per pod that observes,
// lets package pod decide, persists, acts and publishes; the store of objects,
// the snapshot that readers load, and the gRPC server. It knows containerd,
// CNI and systemd only through the ports in ports.go.
//
// cmd/podd imports it to run it.
package agent
