package stats

import (
	"bytes"
	"path/filepath"
	"time"

	"github.com/podd-io/podd/pod"
)

// Sources: the kernel's cgroup-v1 documents; what cAdvisor makes of them, for
// the names under which it is told.

// tick is the unit of cpuacct.stat: USER_HZ, fixed in the kernel's ABI.
const tick = time.Second / 100

// readV1 reads a cgroup of v1's hierarchies.
func (f *files) readV1(h Hierarchies, cgroup string, all bool, u *pod.CgroupUsage) {
	f.cpuV1(h, cgroup, all, &u.CPU)
	if dir := h.dir("memory", cgroup); dir != "" {
		f.memoryV1(dir, all, &u.Memory)
	}
	if !all {
		return
	}
	if dir := h.dir("memory", cgroup); dir != "" {
		for key, n := range pairs(f.read(filepath.Join(dir, "memory.oom_control"))) {
			if string(key) == "oom_kill" {
				u.OOMKills = n
			}
		}
	}
	if dir := h.dir("blkio", cgroup); dir != "" {
		u.IO = f.ioV1(dir)
	}
	if dir := h.dir("pids", cgroup); dir != "" {
		u.Processes.Threads = f.number(filepath.Join(dir, "pids.current"))
		u.Processes.MaxThreads = limit(f.number(filepath.Join(dir, "pids.max")))
	}
}

func (f *files) cpuV1(h Hierarchies, cgroup string, all bool, cpu *pod.CPUUsage) {
	if dir := h.dir("cpuacct", cgroup); dir != "" {
		cpu.Total = time.Duration(f.number(filepath.Join(dir, "cpuacct.usage")))
		if all {
			for key, n := range pairs(f.read(filepath.Join(dir, "cpuacct.stat"))) {
				switch string(key) {
				case "user":
					cpu.User = time.Duration(n) * tick
				case "system":
					cpu.System = time.Duration(n) * tick
				}
			}
		}
	}
	dir := h.dir("cpu", cgroup)
	if dir == "" || !all {
		return
	}
	for key, n := range pairs(f.read(filepath.Join(dir, "cpu.stat"))) {
		switch string(key) {
		case "nr_periods":
			cpu.Periods = n
		case "nr_throttled":
			cpu.Throttled = n
		case "throttled_time":
			cpu.ThrottledTime = time.Duration(n)
		case "nr_bursts":
			cpu.Bursts = n
		case "burst_time":
			cpu.BurstTime = time.Duration(n)
		}
	}
	cpu.Shares = f.number(filepath.Join(dir, "cpu.shares"))
	cpu.Quota = time.Duration(f.number(filepath.Join(dir, "cpu.cfs_quota_us"))) * time.Microsecond
	cpu.Period = time.Duration(f.number(filepath.Join(dir, "cpu.cfs_period_us"))) * time.Microsecond
}

// memoryV1: the totals include what is below, as v2's do; page faults are told
// of the cgroup alone, as cAdvisor does.
func (f *files) memoryV1(dir string, all bool, m *pod.MemoryUsage) {
	swapAndMemory := uint64(0)
	for key, n := range pairs(f.read(filepath.Join(dir, "memory.stat"))) {
		switch string(key) {
		case "total_rss":
			m.RSS = n
		case "total_cache":
			m.Cache = n
		case "total_mapped_file":
			m.Mapped = n
		case "total_swap":
			m.Swap = n
		case "total_dirty":
			m.Dirty = n
		case "total_writeback":
			m.Writeback = n
		case "total_active_file":
			m.ActiveFile = n
		case "total_inactive_file":
			m.InactiveFile = n
		case "pgfault":
			m.Faults = n
		case "pgmajfault":
			m.MajorFaults = n
		case "total_workingset_refault_file":
			m.RefaultedFile = n
		case "total_workingset_refault_anon":
			m.RefaultedAnon = n
		case "hierarchical_memory_limit":
			m.Limit = limit(n)
		case "hierarchical_memsw_limit":
			swapAndMemory = limit(n)
		}
	}
	if m.Limit > 0 && swapAndMemory > 0 {
		m.SwapLimit, m.NoSwap = swapAndMemory-min(m.Limit, swapAndMemory), swapAndMemory <= m.Limit
	}
	m.Usage = f.number(filepath.Join(dir, "memory.usage_in_bytes"))
	if all {
		m.Max = f.number(filepath.Join(dir, "memory.max_usage_in_bytes"))
		m.Failures = f.number(filepath.Join(dir, "memory.failcnt"))
		m.Kernel = f.number(filepath.Join(dir, "memory.kmem.usage_in_bytes"))
		m.Reservation = limit(f.number(filepath.Join(dir, "memory.soft_limit_in_bytes")))
	}
}

// ioV1 reads two files of lines as "8:0 Read 1".
func (f *files) ioV1(dir string) []pod.IOUsage {
	var all []pod.IOUsage
	f.ioFileV1(filepath.Join(dir, "blkio.throttle.io_service_bytes_recursive"), &all, func(io *pod.IOUsage, operation string, n uint64) {
		switch operation {
		case "Read":
			io.ReadBytes = n
		case "Write":
			io.WrittenBytes = n
		case "Discard":
			io.DiscardedBytes = n
		}
	})
	f.ioFileV1(filepath.Join(dir, "blkio.throttle.io_serviced_recursive"), &all, func(io *pod.IOUsage, operation string, n uint64) {
		switch operation {
		case "Read":
			io.Reads = n
		case "Write":
			io.Writes = n
		case "Discard":
			io.Discards = n
		}
	})
	return all
}

func (f *files) ioFileV1(path string, all *[]pod.IOUsage, set func(io *pod.IOUsage, operation string, n uint64)) {
	for line := range bytes.Lines(f.read(path)) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			continue // the total
		}
		if d, ok := device(fields[0]); ok {
			set(ofDevice(all, d), string(fields[1]), number(fields[2]))
		}
	}
}

// ofDevice is the device's entry, a new one if it has none.
func ofDevice(all *[]pod.IOUsage, d pod.IOUsage) *pod.IOUsage {
	for i := range *all {
		if (*all)[i].Major == d.Major && (*all)[i].Minor == d.Minor {
			return &(*all)[i]
		}
	}
	*all = append(*all, d)
	return &(*all)[len(*all)-1]
}
