package stats

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// pressure reads a file of the kernel's psi.rst; nil when there is none.
func (f *files) pressure(path string) *pod.Pressure {
	text := f.read(path)
	if text == nil {
		return nil
	}
	p := &pod.Pressure{}
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(line, []byte{' '})
		switch string(kind) {
		case "some":
			p.Some = waiting(rest)
		case "full":
			p.Full = waiting(rest)
		}
	}
	return p
}

// waiting reads "avg10=0.00 avg60=0.00 avg300=0.00 total=0", in percent and
// microseconds.
func waiting(text []byte) (w pod.Waiting) {
	for _, field := range bytes.Fields(text) {
		key, value, _ := bytes.Cut(field, []byte{'='})
		percent, _ := strconv.ParseFloat(string(value), 64) // the kernel wrote it
		switch string(key) {
		case "avg10":
			w.Avg10 = percent
		case "avg60":
			w.Avg60 = percent
		case "avg300":
			w.Avg300 = percent
		case "total":
			w.Total = time.Duration(number(value)) * time.Microsecond
		}
	}
	return w
}

// pids are the processes of a cgroup and of those below it.
func (f *files) pids(dir string) []string {
	pids := strings.Fields(string(f.read(filepath.Join(dir, "cgroup.procs"))))
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || st.Nlink <= 2 {
		return pids // it has no directories
	}
	entries, _ := os.ReadDir(dir) // it goes: nothing is in it
	for _, e := range entries {
		if e.IsDir() {
			pids = append(pids, f.pids(filepath.Join(dir, e.Name()))...)
		}
	}
	return pids
}

// processes counts those of a cgroup, and what they have open. It returns the
// first one; 0 when there is none.
func (f *files) processes(dir, proc string, p *pod.ProcessUsage) (first int) {
	pids := f.pids(dir)
	p.Processes = uint64(len(pids))
	for _, pid := range pids {
		open, sockets := f.open(filepath.Join(proc, pid, "fd"))
		p.Files += open
		p.Sockets += sockets
	}
	if len(pids) == 0 {
		return 0
	}
	p.MaxFiles = maxFiles(f.read(filepath.Join(proc, pids[0], "limits")))
	first, _ = strconv.Atoi(pids[0])
	return first
}

// open counts a directory of open files.
func (f *files) open(dir string) (all, sockets uint64) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, 0 // the process ended
	}
	defer func() { _ = d.Close() }() // it was only read
	names, _ := d.Readdirnames(-1)   // and what was read counts
	for _, name := range names {
		n, err := unix.Readlinkat(int(d.Fd()), name, f.buf)
		if err == nil && bytes.HasPrefix(f.buf[:n], []byte("socket:")) {
			sockets++
		}
	}
	return uint64(len(names)), sockets
}

// maxFiles reads the soft limit of /proc/<pid>/limits.
func maxFiles(limits []byte) int64 {
	for line := range bytes.Lines(limits) {
		rest, ok := bytes.CutPrefix(line, []byte("Max open files"))
		fields := bytes.Fields(rest)
		if !ok || len(fields) == 0 {
			continue
		}
		if string(fields[0]) == "unlimited" {
			return -1
		}
		return int64(number(fields[0]))
	}
	return 0
}

// ignored are interfaces that cAdvisor doesn't tell of: what goes through them
// goes through others too.
var ignored = []string{"lo", "veth", "docker", "nerdctl"}

// network reads /proc/<pid>/net/dev.
func (f *files) network(path string) []pod.InterfaceUsage {
	var all []pod.InterfaceUsage
	for line := range bytes.Lines(f.read(path)) {
		name, rest, ok := bytes.Cut(line, []byte{':'})
		fields := bytes.Fields(rest)
		if !ok || len(fields) != 16 {
			continue // the header
		}
		i := pod.InterfaceUsage{
			Name:          string(bytes.TrimSpace(name)),
			ReceivedBytes: number(fields[0]), ReceivedPackets: number(fields[1]), ReceiveErrors: number(fields[2]), ReceiveDrops: number(fields[3]),
			SentBytes: number(fields[8]), SentPackets: number(fields[9]), SendErrors: number(fields[10]), SendDrops: number(fields[11]),
		}
		if !isIgnored(i.Name) {
			all = append(all, i)
		}
	}
	return all
}

func isIgnored(name string) bool {
	for _, prefix := range ignored {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// devices are the names of block devices by "major:minor", from
// /proc/partitions.
func (f *files) devices(proc string) map[string]string {
	names := map[string]string{}
	for line := range bytes.Lines(f.read(filepath.Join(proc, "partitions"))) {
		if fields := strings.Fields(string(line)); len(fields) == 4 {
			names[fields[0]+":"+fields[1]] = "/dev/" + fields[3]
		}
	}
	return names
}

// deviceName is as its numbers when it has no other.
func deviceName(names map[string]string, major, minor uint32) string {
	numbers := strconv.FormatUint(uint64(major), 10) + ":" + strconv.FormatUint(uint64(minor), 10)
	if name := names[numbers]; name != "" {
		return name
	}
	return numbers
}

// started is when a process was started; zero when it is gone. Source: proc(5).
func (f *files) started(proc string, pid int, booted time.Time) time.Time {
	text := f.read(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the name may hold anything
	const starttime = 19
	if len(fields) <= starttime {
		return time.Time{}
	}
	return booted.Add(time.Duration(number(fields[starttime])) * tick)
}
