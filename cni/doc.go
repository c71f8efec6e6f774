// Package cni makes pods' network namespaces and wires them: go-cni, host ports,
// addresses. It is the only importer of libcni and netlink.
//
// cmd/podd imports it to hand it to the agent.
package cni
