// Package cni makes pods' network namespaces and wires them, by go-cni: with
// the host's first conflist, or with a built-in bridge. It is the only importer
// of libcni, netlink and nftables.
//
// What it keeps and makes, where <name> is "podd" and a short hash of the root,
// so that two podd on one host don't disturb each other:
//
//	<root>/cni/<uid>.json    what a pod was wired with; survives a boot, so that
//	                         what a plugin keeps outside of podd can be freed
//	<run dir>/netns/<uid>    the namespace
//	<run dir>/cni/leases/    the built-in network's addresses
//	bridge <name>            the built-in network's gateway
//	nft table ip <name>      its host ports and masquerade (rules.go)
//
// libcni keeps its results under /var/lib/cni, as it does for all its users.
// The last pod's removal takes all of it away, but IP forwarding stays on.
//
// A firewall on the host that drops what is forwarded has the last word, as
// nftables has it: podd adds nothing to others' tables. It warns of one, which
// is to accept what comes in or goes out by the bridge.
//
// cmd/podd imports it to hand it to the agent.
package cni
