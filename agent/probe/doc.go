// Package probe runs network probes (HTTP, TCP, gRPC) from the host to a pod, as a
// kubelet's prober does: the same requests, the same verdicts, the same words.
//
// cmd/podd imports it to hand it to the agent.
package probe
