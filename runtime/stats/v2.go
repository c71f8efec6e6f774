package stats

import (
	"bytes"
	"path/filepath"
	"strconv"
	"time"

	"github.com/podd-io/podd/pod"
)

// Sources: the kernel's cgroup-v2.rst; what cAdvisor makes of it, for the names
// under which it is told.

// readV2 reads a cgroup of v2.
func (f *files) readV2(dir string, all bool, u *pod.CgroupUsage) {
	f.cpuV2(dir, all, &u.CPU)
	f.memoryV2(dir, all, &u.Memory)
	if !all {
		return
	}
	u.IO = ioV2(f.read(filepath.Join(dir, "io.stat")))
	u.Processes.Threads = f.number(filepath.Join(dir, "pids.current"))
	u.Processes.MaxThreads = limit(f.number(filepath.Join(dir, "pids.max")))
	for key, n := range pairs(f.read(filepath.Join(dir, "memory.events"))) {
		switch string(key) {
		case "high":
			u.Memory.High = n
		case "max":
			u.Memory.Failures = n
		case "oom_kill":
			u.OOMKills = n
		}
	}
}

func (f *files) cpuV2(dir string, all bool, cpu *pod.CPUUsage) {
	micro := func(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
	for key, n := range pairs(f.read(filepath.Join(dir, "cpu.stat"))) {
		switch string(key) {
		case "usage_usec":
			cpu.Total = micro(n)
		case "user_usec":
			cpu.User = micro(n)
		case "system_usec":
			cpu.System = micro(n)
		case "nr_periods":
			cpu.Periods = n
		case "nr_throttled":
			cpu.Throttled = n
		case "throttled_usec":
			cpu.ThrottledTime = micro(n)
		case "nr_bursts":
			cpu.Bursts = n
		case "burst_usec":
			cpu.BurstTime = micro(n)
		}
	}
	if !all {
		return
	}
	if weight := f.number(filepath.Join(dir, "cpu.weight")); weight > 0 {
		cpu.Shares = 2 + (weight-1)*262142/9999 // how cAdvisor goes back from weights to shares
	}
	if fields := bytes.Fields(f.read(filepath.Join(dir, "cpu.max"))); len(fields) == 2 {
		cpu.Quota, cpu.Period = micro(limit(number(fields[0]))), micro(number(fields[1]))
	}
}

func (f *files) memoryV2(dir string, all bool, m *pod.MemoryUsage) {
	for key, n := range pairs(f.read(filepath.Join(dir, "memory.stat"))) {
		switch string(key) {
		case "anon":
			m.RSS = n
		case "file":
			m.Cache = n
		case "kernel":
			m.Kernel = n
		case "file_mapped":
			m.Mapped = n
		case "file_dirty":
			m.Dirty = n
		case "file_writeback":
			m.Writeback = n
		case "active_file":
			m.ActiveFile = n
		case "inactive_file":
			m.InactiveFile = n
		case "pgfault":
			m.Faults = n
		case "pgmajfault":
			m.MajorFaults = n
		case "pgscan":
			m.Scanned = n
		case "pgsteal":
			m.Reclaimed = n
		case "workingset_refault_file":
			m.RefaultedFile = n
		case "workingset_refault_anon":
			m.RefaultedAnon = n
		}
	}
	m.Usage = f.number(filepath.Join(dir, "memory.current"))
	m.Swap = f.number(filepath.Join(dir, "memory.swap.current"))
	m.Limit = limit(f.number(filepath.Join(dir, "memory.max")))
	if text := bytes.TrimSpace(f.read(filepath.Join(dir, "memory.swap.max"))); text != nil {
		m.SwapLimit, m.NoSwap = limit(number(text)), string(text) == "0"
	}
	if all {
		m.Max = f.number(filepath.Join(dir, "memory.peak"))
		m.Reservation = limit(f.number(filepath.Join(dir, "memory.min")))
	}
}

// ioV2 reads lines as "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
func ioV2(text []byte) []pod.IOUsage {
	var all []pod.IOUsage
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue // of a device that was not used
		}
		io, ok := device(fields[0])
		if !ok {
			continue
		}
		for _, field := range fields[1:] {
			key, value, _ := bytes.Cut(field, []byte{'='})
			n := number(value)
			switch string(key) {
			case "rbytes":
				io.ReadBytes = n
			case "wbytes":
				io.WrittenBytes = n
			case "rios":
				io.Reads = n
			case "wios":
				io.Writes = n
			case "dbytes":
				io.DiscardedBytes = n
			case "dios":
				io.Discards = n
			}
		}
		all = append(all, io)
	}
	return all
}

// device reads "8:0".
func device(text []byte) (pod.IOUsage, bool) {
	major, minor, _ := bytes.Cut(text, []byte{':'})
	a, err1 := strconv.ParseUint(string(major), 10, 32)
	b, err2 := strconv.ParseUint(string(minor), 10, 32)
	return pod.IOUsage{Major: uint32(a), Minor: uint32(b)}, err1 == nil && err2 == nil
}
