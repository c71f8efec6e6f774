// Package summary tells what is used in a kubelet's words: the Summary of
// stats/v1alpha1, which the metrics server and podctl top read. It only
// translates.
//
// agent imports it.
package summary

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/podd-io/podd/pod"
)

// Of is the Summary of a node. Source of what is left out when, and of sums:
// k8s.io/kubernetes/pkg/kubelet/stats and .../server/stats.
func Of(node string, u pod.Usage, of pod.UsageOf) stats.Summary {
	out := stats.Summary{Node: nodeStats(node, &u.Node, of), Pods: make([]stats.PodStats, 0, len(u.Pods))}
	for i := range u.Pods {
		out.Pods = append(out.Pods, podStats(&u.Pods[i], of))
	}
	return out
}

func nodeStats(name string, n *pod.NodeUsage, of pod.UsageOf) stats.NodeStats {
	out := stats.NodeStats{
		NodeName: name, StartTime: metav1.NewTime(n.Booted),
		CPU: cpu(&n.CgroupUsage), Memory: memory(&n.CgroupUsage), Swap: swap(&n.CgroupUsage),
	}
	if n.Pods != nil {
		out.SystemContainers = []stats.ContainerStats{{
			Name: stats.SystemContainerPods, StartTime: metav1.NewTime(n.Booted),
			CPU: cpu(n.Pods), Memory: memory(n.Pods), Swap: swap(n.Pods),
		}}
	}
	if of != pod.UsageAll {
		return out
	}
	out.IO, out.Network = io(&n.CgroupUsage), network(n.Time, n.Network)
	out.Fs = disk(n.Root)
	out.Runtime = &stats.RuntimeStats{ImageFs: disk(n.Images), ContainerFs: disk(n.Images)}
	out.Rlimit = &stats.RlimitStats{Time: metav1.NewTime(n.Time), MaxPID: &n.MaxTasks, NumOfRunningProcesses: &n.Threads}
	return out
}

func podStats(p *pod.PodUsage, of pod.UsageOf) stats.PodStats {
	out := stats.PodStats{
		PodRef: stats.PodReference{Name: p.Pod.Name, Namespace: p.Pod.Namespace, UID: string(p.Pod.UID)},
		CPU:    cpu(&p.CgroupUsage), Memory: memory(&p.CgroupUsage), Swap: swap(&p.CgroupUsage),
		Containers: make([]stats.ContainerStats, 0, len(p.Containers)),
	}
	if p.Pod.Status.StartTime != nil {
		out.StartTime = *p.Pod.Status.StartTime
	}
	for i := range p.Containers {
		out.Containers = append(out.Containers, containerStats(&p.Containers[i], of))
	}
	if of != pod.UsageAll {
		return out
	}
	out.IO, out.Network = io(&p.CgroupUsage), network(p.Time, p.Network)
	for i := range p.Volumes {
		v := &p.Volumes[i]
		out.VolumeStats = append(out.VolumeStats, stats.VolumeStats{Name: v.Name, FsStats: *disk(&v.DiskUsage)})
	}
	out.EphemeralStorage = ephemeral(p)
	out.ProcessStats = &stats.ProcessStats{ProcessCount: &p.Processes.Processes}
	return out
}

func containerStats(c *pod.ContainerUsage, of pod.UsageOf) stats.ContainerStats {
	out := stats.ContainerStats{
		Name: c.Name, StartTime: metav1.NewTime(c.Started),
		CPU: cpu(&c.CgroupUsage), Memory: memory(&c.CgroupUsage), Swap: swap(&c.CgroupUsage),
	}
	if of == pod.UsageAll {
		out.IO, out.Rootfs, out.Logs = io(&c.CgroupUsage), disk(c.Layer), disk(c.Logs)
	}
	return out
}

// ephemeral is what a pod takes of the node's disk: what its containers wrote,
// their logs, and the volumes on disk. It is nil while nothing is measured.
func ephemeral(p *pod.PodUsage) *stats.FsStats {
	var all pod.DiskUsage
	add := func(d *pod.DiskUsage) {
		if d == nil {
			return
		}
		used, inodes := all.Used+d.Used, all.InodesUsed+d.InodesUsed
		all = *d
		all.Used, all.InodesUsed = used, inodes
	}
	for i := range p.Volumes {
		if !p.Volumes[i].Memory {
			add(&p.Volumes[i].DiskUsage)
		}
	}
	for i := range p.Containers {
		add(p.Containers[i].Logs)
		add(p.Containers[i].Layer)
	}
	if all.Time.IsZero() {
		return nil
	}
	return disk(&all)
}

func cpu(g *pod.CgroupUsage) *stats.CPUStats {
	total := uint64(g.CPU.Total)
	out := &stats.CPUStats{Time: metav1.NewTime(g.Time), UsageCoreNanoSeconds: &total, PSI: pressure(g.CPUPressure)}
	if g.CPU.Window > 0 {
		busy := uint64(math.Round(g.CPU.Cores * float64(time.Second)))
		out.UsageNanoCores = &busy
	}
	return out
}

func memory(g *pod.CgroupUsage) *stats.MemoryStats {
	m := g.Memory
	out := &stats.MemoryStats{
		Time: metav1.NewTime(g.Time), UsageBytes: &m.Usage, WorkingSetBytes: &m.WorkingSet, RSSBytes: &m.RSS,
		PageFaults: &m.Faults, MajorPageFaults: &m.MajorFaults, PSI: pressure(g.MemoryPressure),
	}
	if m.Limit > 0 {
		available := m.Limit - min(m.WorkingSet, m.Limit)
		out.AvailableBytes = &available
	}
	return out
}

func swap(g *pod.CgroupUsage) *stats.SwapStats {
	m := g.Memory
	out := &stats.SwapStats{Time: metav1.NewTime(g.Time), SwapUsageBytes: &m.Swap}
	if m.SwapLimit > 0 || m.NoSwap {
		available := m.SwapLimit - min(m.Swap, m.SwapLimit)
		out.SwapAvailableBytes = &available
	}
	return out
}

// io is nil where the kernel tells no pressure: there is nothing else in it.
func io(g *pod.CgroupUsage) *stats.IOStats {
	if g.IOPressure == nil {
		return nil
	}
	return &stats.IOStats{Time: metav1.NewTime(g.Time), PSI: pressure(g.IOPressure)}
}

func pressure(p *pod.Pressure) *stats.PSIStats {
	if p == nil {
		return nil
	}
	return &stats.PSIStats{Some: waiting(p.Some), Full: waiting(p.Full)}
}

func waiting(w pod.Waiting) stats.PSIData {
	return stats.PSIData{Total: uint64(w.Total), Avg10: w.Avg10, Avg60: w.Avg60, Avg300: w.Avg300}
}

// defaultInterface is a pod's own; a node's is the first there is.
const defaultInterface = "eth0"

func network(at time.Time, all []pod.InterfaceUsage) *stats.NetworkStats {
	if len(all) == 0 {
		return nil
	}
	out := &stats.NetworkStats{Time: metav1.NewTime(at)}
	for i := range all {
		n := &all[i]
		one := stats.InterfaceStats{
			Name:    n.Name,
			RxBytes: &n.ReceivedBytes, RxErrors: &n.ReceiveErrors, TxBytes: &n.SentBytes, TxErrors: &n.SendErrors,
		}
		if i == 0 || n.Name == defaultInterface {
			out.InterfaceStats = one
		}
		out.Interfaces = append(out.Interfaces, one)
	}
	return out
}

func disk(d *pod.DiskUsage) *stats.FsStats {
	if d == nil {
		return nil
	}
	return &stats.FsStats{
		Time:           metav1.NewTime(d.Time),
		AvailableBytes: &d.Available, CapacityBytes: &d.Capacity, UsedBytes: &d.Used,
		InodesFree: &d.InodesFree, Inodes: &d.Inodes, InodesUsed: &d.InodesUsed,
	}
}
