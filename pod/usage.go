package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// UsageOf says how much of what is used is to be read.
type UsageOf int

const (
	// UsageCore is processor time, memory and swap.
	UsageCore UsageOf = iota
	// UsageAll is everything.
	UsageAll
)

// Usage is what the machine and its pods used when it was read. Numbers that
// count up begin with the cgroup.
type Usage struct {
	Node NodeUsage
	// Pods that have a cgroup, in the order in which they were asked for.
	Pods []PodUsage
}

// NodeUsage is what the whole machine uses.
type NodeUsage struct {
	CgroupUsage
	// Pods is what all pods use together; nil while there are none.
	Pods     *CgroupUsage
	Booted   time.Time
	Machine  Machine
	Network  []InterfaceUsage
	Root     *DiskUsage
	Images   *DiskUsage
	Threads  int64
	MaxTasks int64
}

// Machine is what there is to use.
type Machine struct {
	Cores, PhysicalCores, Sockets int
	Memory, Swap                  uint64
	ID, SystemUUID, BootID        string
	Kernel, OS                    string
}

// PodUsage is what one pod uses.
type PodUsage struct {
	Pod *corev1.Pod
	// CgroupUsage is the pod's as a whole, the pause container included.
	CgroupUsage
	// Sandbox is the pause container; nil when there is none.
	Sandbox *ContainerUsage
	// Containers that have a cgroup, in the pod's order.
	Containers []ContainerUsage
	// Network is nil for a pod in the host's.
	Network []InterfaceUsage
	// Volumes that podd keeps, and that have been measured.
	Volumes []VolumeUsage
}

// ContainerUsage is what one container uses.
type ContainerUsage struct {
	CgroupUsage
	Name, ID, Image string
	Started         time.Time
	// Layer is what it has written to its own file system, Logs what its logs
	// take; nil while they have not been measured.
	Layer, Logs *DiskUsage
}

// VolumeUsage is what is in a volume.
type VolumeUsage struct {
	Name string
	// Memory: it takes no disk.
	Memory bool
	DiskUsage
}

// CgroupUsage is what a cgroup and all below it uses.
type CgroupUsage struct {
	// Path is the cgroup's, below the hierarchies' roots.
	Path   string
	Time   time.Time
	CPU    CPUUsage
	Memory MemoryUsage
	// The rest is read with UsageAll only.
	IO        []IOUsage
	Processes ProcessUsage
	// CPUPressure, MemoryPressure and IOPressure are nil where the kernel doesn't
	// measure it.
	CPUPressure, MemoryPressure, IOPressure *Pressure
	// OOMKills counts the processes that were killed for want of memory.
	OOMKills uint64
}

// CPUUsage is processor time.
type CPUUsage struct {
	Total, User, System time.Duration
	// Cores is how many were busy on average over Window; Window is 0 while
	// there is nothing to compare with.
	Cores  float64
	Window time.Duration
	// Periods are those of the quota, Throttled those in which it was used up,
	// ThrottledTime how long was waited. Bursts are periods above the quota.
	Periods, Throttled, Bursts uint64
	ThrottledTime, BurstTime   time.Duration
	// Shares are as cgroup v1 has them, Quota is 0 for none.
	Shares        uint64
	Quota, Period time.Duration
}

// MemoryUsage is in bytes, but for what counts. Limits are 0 for none.
type MemoryUsage struct {
	// WorkingSet is what would be hard to take away: Usage but for files that
	// were not used lately.
	Usage, WorkingSet, Max       uint64
	RSS, Cache, Mapped, Kernel   uint64
	ActiveFile, InactiveFile     uint64
	Swap                         uint64
	Dirty, Writeback             uint64
	Faults, MajorFaults          uint64
	Scanned, Reclaimed           uint64
	RefaultedFile, RefaultedAnon uint64
	// Failures counts how often the limit was met, High how often the soft one.
	Failures, High uint64
	// SwapLimit is of swap alone, 0 for none; NoSwap says that it may have none.
	Limit, Reservation, SwapLimit uint64
	NoSwap                        bool
}

// IOUsage is one block device's.
type IOUsage struct {
	// Device is its path, "/dev/sda".
	Device                   string
	Major, Minor             uint32
	ReadBytes, WrittenBytes  uint64
	Reads, Writes            uint64
	DiscardedBytes, Discards uint64
}

// ProcessUsage counts processes and what they have open. MaxThreads is 0 for no
// limit.
type ProcessUsage struct {
	Processes, Threads, MaxThreads uint64
	Files, Sockets                 uint64
	// MaxFiles is the limit of the first process; -1 for none, 0 when unknown.
	MaxFiles int64
}

// Pressure is how long was waited for something: Some by any process, Full by
// all at once (the kernel's psi.rst).
type Pressure struct{ Some, Full Waiting }

// Waiting has averages in percent.
type Waiting struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration
}

// InterfaceUsage is one network interface's.
type InterfaceUsage struct {
	Name                                                        string
	ReceivedBytes, ReceivedPackets, ReceiveErrors, ReceiveDrops uint64
	SentBytes, SentPackets, SendErrors, SendDrops               uint64
}

// DiskUsage is what something takes of a file system, and what that has.
type DiskUsage struct {
	Time                time.Time
	Device              string
	Used, InodesUsed    uint64
	Capacity, Available uint64
	Inodes, InodesFree  uint64
}
