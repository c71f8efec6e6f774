// Package probe runs network probes (HTTP, TCP) from the host to a pod, as a kubelet does.
//
// cmd/podd imports it to hand it to the agent.
package probe
