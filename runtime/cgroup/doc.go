// Package cgroup makes, sets, reads and removes pod cgroups, on v1 and v2.
//
// runtime imports it for OOM kills, cmd/podd to hand it to the agent.
package cgroup
