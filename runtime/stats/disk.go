package stats

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// Measuring is bounded: a directory is not measured again before measureEvery
// has passed, nor before measureShare times as long as it took last time. Who
// asks waits for patience at most, and gets what is known then.
const (
	measureEvery = time.Minute
	measureShare = 100
	patience     = 50 * time.Millisecond
	forgetAfter  = 10 * time.Minute
)

// place is something to measure: a directory or, by one of its processes, the
// layer that a container writes to.
type place struct {
	dir string
	pid int
}

// meter tells how much directories take. It walks them only when somebody asks,
// one after the other in one goroutine, which ends when there is no more to do.
type meter struct {
	proc    string
	closing atomic.Bool
	work    sync.WaitGroup

	mu    sync.Mutex
	known map[place]measured // guarded by mu
	round chan struct{}      // guarded by mu: closed when the round under way ends; nil when there is none
}

type measured struct {
	usage *pod.DiskUsage // nil when it could not be found out
	asked time.Time
	next  time.Time // not to be measured before
}

// ask tells what is known of places, once those that are due are measured, or
// patience is at an end. The usages are not to be changed.
func (m *meter) ask(places []place) map[place]*pod.DiskUsage {
	if ended := m.begin(places); ended != nil {
		limit := time.NewTimer(patience)
		defer limit.Stop()
		select {
		case <-ended:
		case <-limit.C:
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[place]*pod.DiskUsage, len(places))
	for _, p := range places {
		out[p] = m.known[p].usage
	}
	return out
}

// begin starts a round if one is due. It returns what is closed when the round
// under way ends, nil when there is none.
func (m *meter) begin(places []place) <-chan struct{} {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []place
	for _, p := range places {
		k := m.known[p]
		if !now.Before(k.next) {
			due = append(due, p)
		}
		k.asked = now
		m.known[p] = k
	}
	for p, k := range m.known {
		if now.Sub(k.asked) > forgetAfter {
			delete(m.known, p)
		}
	}
	if m.round == nil && len(due) > 0 && !m.closing.Load() {
		m.round = make(chan struct{})
		m.work.Go(func() { m.measure(due) })
	}
	return m.round
}

func (m *meter) measure(due []place) {
	f := &files{}
	devices := f.devices(m.proc)
	for _, p := range due {
		began := time.Now()
		usage := m.usage(f, p, devices)
		took := time.Since(began)
		m.mu.Lock()
		m.known[p] = measured{usage: usage, asked: began, next: began.Add(max(measureEvery, took*measureShare))}
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.round)
	m.round = nil
}

// usage is nil when the place is not there, or goes meanwhile.
func (m *meter) usage(f *files, p place, devices map[string]string) *pod.DiskUsage {
	dir := p.dir
	if p.pid != 0 {
		dir = upperDir(f.read(filepath.Join(m.proc, strconv.Itoa(p.pid), "mountinfo")))
	}
	if dir == "" {
		return nil
	}
	d := fileSystem(dir, devices)
	if d == nil {
		return nil
	}
	d.Used, d.InodesUsed = 0, 0
	if err := m.walk(dir, d); err != nil {
		return nil
	}
	return d
}

// walk counts blocks, every file once however many names it has, and stays in
// one file system, as du -x does.
func (m *meter) walk(dir string, d *pod.DiskUsage) error {
	seen := map[uint64]bool{}
	var device uint64
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if m.closing.Load() {
			return fs.SkipAll
		}
		if err != nil {
			return unlessGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return unlessGone(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if path == dir {
			device = st.Dev
		}
		if st.Dev != device {
			return skip(e)
		}
		if st.Nlink > 1 && !e.IsDir() {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		d.Used += uint64(st.Blocks) * 512
		d.InodesUsed++
		return nil
	})
}

// unlessGone: files come and go under the walk.
func unlessGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func skip(e fs.DirEntry) error {
	if e.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// upperDir is where overlayfs has what was written to the root of a mountinfo;
// empty for other kinds.
func upperDir(mountinfo []byte) string {
	for line := range strings.Lines(string(mountinfo)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[4] != "/" {
			continue
		}
		for option := range strings.SplitSeq(fields[len(fields)-1], ",") {
			if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				return unescape.Replace(dir)
			}
		}
	}
	return ""
}

// unescape undoes what the kernel does to paths in mountinfo, proc(5).
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\054`, ",")

// fileSystem tells of the one that a path is in, all of it; nil when there is no
// such path.
func fileSystem(path string, devices map[string]string) *pod.DiskUsage {
	var st unix.Statfs_t
	var at unix.Stat_t
	if unix.Statfs(path, &st) != nil || unix.Stat(path, &at) != nil {
		return nil
	}
	size := uint64(st.Bsize)
	return &pod.DiskUsage{
		Time:   time.Now(),
		Device: deviceName(devices, unix.Major(at.Dev), unix.Minor(at.Dev)),
		Used:   (st.Blocks - st.Bfree) * size, InodesUsed: st.Files - st.Ffree,
		Capacity: st.Blocks * size, Available: st.Bavail * size,
		Inodes: st.Files, InodesFree: st.Ffree,
	}
}

// close ends the measuring.
func (m *meter) close() {
	m.closing.Store(true)
	m.work.Wait()
}
