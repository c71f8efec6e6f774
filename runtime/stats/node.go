package stats

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// node reads what the whole machine uses.
func (r *Reader) node(ctx context.Context, f *files, of pod.UsageOf, devices map[string]string) pod.NodeUsage {
	n := pod.NodeUsage{Booted: r.booted, Machine: f.machine(r.cfg.Proc)}
	n.CgroupUsage, _ = r.group(f, "/", of, devices)
	n.Memory.Limit = n.Machine.Memory
	if r.cfg.Hierarchies.unified() {
		f.meminfo(r.cfg.Proc, &n.Memory) // v2's root has no files for it
	}
	n.Memory.SwapLimit, n.Memory.NoSwap = n.Machine.Swap, n.Machine.Swap == 0
	if pods, ok := r.group(f, r.cfg.CgroupRoot, of, devices); ok && r.cfg.CgroupRoot != "/" {
		n.Pods = &pods
	}
	if of != pod.UsageAll {
		return n
	}
	n.CPUPressure = f.pressure(filepath.Join(r.cfg.Proc, "pressure", "cpu"))
	n.MemoryPressure = f.pressure(filepath.Join(r.cfg.Proc, "pressure", "memory"))
	n.IOPressure = f.pressure(filepath.Join(r.cfg.Proc, "pressure", "io"))
	n.Network = f.network(filepath.Join(r.cfg.Proc, "1", "net", "dev"))
	n.Threads, n.MaxTasks = f.tasks(r.cfg.Proc)
	n.Root, n.Images = fileSystem(r.cfg.Root, devices), r.images(ctx, devices)
	return n
}

// meminfo is how the root cgroup's memory is told where it has no files, as
// runc and cAdvisor do.
func (f *files) meminfo(proc string, m *pod.MemoryUsage) {
	all := sizes(f.read(filepath.Join(proc, "meminfo")))
	m.Usage = all["MemTotal"] - min(all["MemFree"], all["MemTotal"])
	m.WorkingSet = m.Usage - min(m.InactiveFile, m.Usage)
	m.Swap = all["SwapTotal"] - min(all["SwapFree"], all["SwapTotal"])
}

// sizes reads lines as "MemTotal: 1 kB", in bytes.
func sizes(text []byte) map[string]uint64 {
	all := map[string]uint64{}
	for line := range bytes.Lines(text) {
		if fields := strings.Fields(string(line)); len(fields) == 3 && fields[2] == "kB" {
			all[strings.TrimSuffix(fields[0], ":")] = number([]byte(fields[1])) << 10
		}
	}
	return all
}

// machine is what there is to use.
func (f *files) machine(proc string) pod.Machine {
	m := pod.Machine{
		ID: f.line("/etc/machine-id"), SystemUUID: f.line("/sys/class/dmi/id/product_uuid"),
		BootID: f.line(filepath.Join(proc, "sys/kernel/random/boot_id")),
		Kernel: f.line(filepath.Join(proc, "sys/kernel/osrelease")),
		OS:     f.osName(),
	}
	memory := sizes(f.read(filepath.Join(proc, "meminfo")))
	m.Memory, m.Swap = memory["MemTotal"], memory["SwapTotal"]
	f.processors(filepath.Join(proc, "cpuinfo"), &m)
	return m
}

func (f *files) line(path string) string { return string(bytes.TrimSpace(f.read(path))) }

func (f *files) osName() string {
	for line := range bytes.Lines(f.read("/etc/os-release")) {
		if value, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("PRETTY_NAME=")); ok {
			return strings.Trim(string(value), `"'`)
		}
	}
	return "linux"
}

// processors counts those of /proc/cpuinfo. Where it tells nothing of cores and
// sockets, each processor is a core, of one socket.
func (f *files) processors(path string, m *pod.Machine) {
	cores, sockets := map[string]bool{}, map[string]bool{}
	socket := ""
	for line := range strings.Lines(string(f.read(path))) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			m.Cores++
		case "physical id":
			socket = strings.TrimSpace(value)
			sockets[socket] = true
		case "core id":
			cores[socket+"/"+strings.TrimSpace(value)] = true
		}
	}
	m.PhysicalCores, m.Sockets = len(cores), len(sockets)
	if len(cores) == 0 {
		m.PhysicalCores, m.Sockets = m.Cores, 1
	}
}

// tasks are how many threads there are on the machine, and may be.
func (f *files) tasks(proc string) (now, most int64) {
	if fields := bytes.Fields(f.read(filepath.Join(proc, "loadavg"))); len(fields) > 3 {
		_, all, _ := bytes.Cut(fields[3], []byte{'/'})
		now = int64(number(all))
	}
	pids := f.number(filepath.Join(proc, "sys/kernel/pid_max"))
	threads := f.number(filepath.Join(proc, "sys/kernel/threads-max"))
	return now, int64(min(pids, threads))
}

// booted is when the machine was started.
func booted() (time.Time, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(-time.Duration(up.Nano())), nil
}
