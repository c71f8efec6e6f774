package fake

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// Usage implements agent.Usage: every container that runs keeps half a
// processor busy and holds 1 MiB, and so do its pod and the node.
func (s *Session) Usage() *Usage { return &Usage{} }

// Usage is told apart from a real one by its numbers only. It belongs to one
// goroutine at a time.
type Usage struct{ last time.Time }

// Read implements agent.Usage.
func (u *Usage) Read(_ context.Context, pods []*corev1.Pod, _ pod.UsageOf) (pod.Usage, error) {
	now := time.Now()
	var window time.Duration
	if !u.last.IsZero() {
		window = now.Sub(u.last)
	}
	u.last = now
	used := func(containers int, since time.Time) pod.CgroupUsage {
		n := time.Duration(containers)
		return pod.CgroupUsage{
			Time:   now,
			CPU:    pod.CPUUsage{Total: n * now.Sub(since) / 2, Cores: float64(containers) / 2, Window: window},
			Memory: pod.MemoryUsage{Usage: uint64(containers) << 20, WorkingSet: uint64(containers) << 20},
		}
	}
	out := pod.Usage{}
	running := 0
	for _, p := range pods {
		one := pod.PodUsage{Pod: p}
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Running != nil {
				one.Containers = append(one.Containers, pod.ContainerUsage{
					Name: c.Name, CgroupUsage: used(1, c.State.Running.StartedAt.Time), Started: c.State.Running.StartedAt.Time,
				})
			}
		}
		if n := len(one.Containers); n > 0 {
			running += n
			one.CgroupUsage = used(n, one.Containers[0].Started)
			out.Pods = append(out.Pods, one)
		}
	}
	out.Node.CgroupUsage = used(running, now)
	return out, nil
}
