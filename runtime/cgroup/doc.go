// Package cgroup makes, sets, reads and removes pod cgroups, on v1 and v2. It
// uses the library that runc and the kubelet use, so that podd and the OCI
// runtime below it agree on where a cgroup is.
//
// runtime imports it for OOM kills, cmd/podd to hand it to the agent.
package cgroup
