package cgroup

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podd-io/podd/pod"
)

func TestLimitsAsProperties(t *testing.T) {
	const none = uint64(math.MaxUint64)
	for name, test := range map[string]struct {
		in                    pod.PodResources
		weight, quota, memory uint64
	}{
		"none":                         {pod.PodResources{}, 1, none, none},
		"requests":                     {pod.PodResources{MilliCPURequest: 500}, 59, none, none},
		"limits":                       {pod.PodResources{MilliCPURequest: 1000, MilliCPULimit: 1500, MemoryLimit: 64 << 20}, 100, 1_500_000, 64 << 20},
		"the least":                    {pod.PodResources{MilliCPURequest: 1, MilliCPULimit: 1}, 1, 10_000, none},
		"systemd knows whole percents": {pod.PodResources{MilliCPULimit: 1501}, 1, 1_510_000, none},
	} {
		want := map[string]uint64{"CPUWeight": test.weight, "CPUQuotaPerSecUSec": test.quota, "MemoryMax": test.memory}
		if diff := cmp.Diff(want, limits(test.in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
