package runtime

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// The kubelet's constants: a share a thousandth of 1024, a period of 100 ms, a
// quota of at least 1 ms.
const (
	sharesPerCPU = 1024
	minShares    = 2
	quotaPeriod  = 100_000
	minQuota     = 1_000
)

// resources sets cpu and memory as a kubelet does; runc turns shares into
// weight where the host has cgroup v2.
func resources(req corev1.ResourceRequirements) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		if s.Linux.Resources == nil {
			s.Linux.Resources = &specs.LinuxResources{}
		}
		s.Linux.Resources.CPU = linuxCPU(req)
		s.Linux.Resources.Memory = linuxMemory(req, swapAccounting())
		if cgroups.IsCgroup2UnifiedMode() {
			s.Linux.Resources.Unified = unified(swapAccounting())
		}
		return nil
	}
}

// linuxMemory is nil without a limit. Swap counts into the limit: there is none
// for pods, which is a kubelet's default.
func linuxMemory(req corev1.ResourceRequirements, swap bool) *specs.LinuxMemory {
	limit := req.Limits.Memory().Value()
	if limit <= 0 {
		return nil
	}
	m := &specs.LinuxMemory{Limit: &limit}
	if swap {
		m.Swap = &limit
	}
	return m
}

// unified are a kubelet's settings of cgroup v2: an OOM kill ends the whole
// container, and nothing of it is swapped out.
func unified(swap bool) map[string]string {
	out := map[string]string{"memory.oom.group": "1"}
	if swap {
		out["memory.swap.max"] = "0"
	}
	return out
}

func linuxCPU(req corev1.ResourceRequirements) *specs.LinuxCPU {
	request := req.Requests.Cpu().MilliValue()
	limit := req.Limits.Cpu().MilliValue()
	if _, set := req.Requests[corev1.ResourceCPU]; !set {
		request = limit
	}
	shares := max(uint64(request)*sharesPerCPU/1000, minShares)
	cpu := &specs.LinuxCPU{Shares: &shares}
	if limit > 0 {
		quota, period := max(limit*quotaPeriod/1000, minQuota), uint64(quotaPeriod)
		cpu.Quota, cpu.Period = &quota, &period
	}
	return cpu
}

// swapAccounting tells whether the kernel can limit swap by cgroup; asking for
// it where it can't would fail the container.
var swapAccounting = sync.OnceValue(func() bool {
	file := "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"
	if cgroups.IsCgroup2UnifiedMode() {
		own, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
		if err != nil {
			return false
		}
		file = filepath.Join("/sys/fs/cgroup", own[""], "memory.swap.max")
	}
	_, err := os.Stat(file)
	return err == nil
})

func oomScore(adj int) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		adj := OOMScoreAdj(adj)
		s.Process.OOMScoreAdj = &adj
		return nil
	}
}

// OOMScoreAdj is adj, or podd's own value when podd has not the right to go
// below that: better a pod that runs than one that fails for it.
func OOMScoreAdj(adj int) int {
	if own := ownOOMScoreAdj(); adj < own && !maySetOOMScore() {
		return own
	}
	return adj
}
