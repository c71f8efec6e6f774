// Package cgroup makes, sets, reads and removes pod cgroups, on v1, hybrid and
// v2: <cgroup root>/pod<uid> in every hierarchy; or, where the root is one, as
// slices of systemd's. runtime.CgroupRoot says where they are.
//
// It uses the library github.com/opencontainers/cgroups, which runc and the
// kubelet are built on, so that podd and the OCI runtime below it agree on
// where a cgroup is and on what a share or a quota means. containerd/cgroups,
// the other one, knows nothing of the v2 hierarchy beside v1's in a hybrid
// setup.
//
// runtime imports it for OOM kills, cmd/podd to hand it to the agent.
package cgroup
