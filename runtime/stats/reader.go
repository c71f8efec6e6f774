package stats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Config says where things are.
type Config struct {
	Hierarchies Hierarchies
	// Proc is "/proc".
	Proc string
	// CgroupRoot is the parent of the pods' cgroups. PodCgroup and ContainerCgroup
	// tell where those are, SandboxCgroup where the pause container's is; all are
	// below the roots of the hierarchies.
	CgroupRoot                     string
	PodCgroup                      func(types.UID) string
	ContainerCgroup, SandboxCgroup func(uid types.UID, id string) string
	// SandboxImage is the pause container's.
	SandboxImage string
	// Root is podd's directory, VolumePath where a pod's volume is, LogDir where
	// a container has its logs.
	Root       string
	VolumePath func(types.UID, corev1.Volume) string
	LogDir     func(key pod.Key, container string) string
	// Images tells a directory of the file system that images are on.
	Images func(context.Context) (string, error)
}

// Reader reads what is used, at the time it is asked. It may be used by many
// goroutines at once.
type Reader struct {
	cfg    Config
	booted time.Time
	memory memory
	meter  meter
}

// New reads nothing yet. The caller closes the reader.
func New(cfg Config) (*Reader, error) {
	since, err := booted()
	if err != nil {
		return nil, fmt.Errorf("find out when the machine was started: %w", err)
	}
	return &Reader{
		cfg: cfg, booted: since,
		memory: memory{readings: map[string]reading{}, attempts: map[types.UID]int{}},
		meter:  meter{proc: cfg.Proc, known: map[place]measured{}},
	}, nil
}

// Close ends what is being measured.
func (r *Reader) Close() { r.meter.close() }

// Read implements agent.Usage. Pods without a cgroup are left out, and what
// vanishes while it is read is no failure. What could be read is returned
// whatever failed.
func (r *Reader) Read(ctx context.Context, pods []*corev1.Pod, of pod.UsageOf) (pod.Usage, error) {
	now := &files{}
	devices := map[string]string{}
	if of == pod.UsageAll {
		devices = now.devices(r.cfg.Proc)
	}
	found := make([]*pod.PodUsage, len(pods))
	rests := make([]rest, len(pods))
	errs := r.inParallel(len(pods), func(f *files, i int) {
		found[i], rests[i] = r.pod(f, pods[i], of, devices)
	})
	usage := pod.Usage{Node: r.node(ctx, now, of, devices), Pods: make([]pod.PodUsage, 0, len(pods))}
	if of == pod.UsageAll {
		r.measure(found, rests)
	}
	known := map[types.UID]bool{}
	for i, p := range found {
		if p != nil {
			usage.Pods = append(usage.Pods, *p)
		}
		known[pods[i].UID] = true
	}
	r.memory.forget(usage.Node.Time, known)
	return usage, errors.Join(append(errs, now.err)...)
}

// inParallel does n things on all processors.
func (r *Reader) inParallel(n int, do func(f *files, i int)) []error {
	workers := make([]files, min(n, goruntime.GOMAXPROCS(0)))
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(&workers[w], i)
			}
		})
	}
	wg.Wait()
	errs := make([]error, 0, len(workers))
	for _, f := range workers {
		errs = append(errs, f.err)
	}
	return errs
}

// group reads one cgroup; not ok when there is none.
func (r *Reader) group(f *files, cgroup string, of pod.UsageOf, devices map[string]string) (u pod.CgroupUsage, ok bool) {
	h, all := r.cfg.Hierarchies, of == pod.UsageAll
	dir := r.dir(cgroup)
	if unix.Access(dir, unix.F_OK) != nil {
		return u, false
	}
	u.Path, u.Time = cgroup, time.Now()
	if h.unified() {
		f.readV2(dir, all, &u)
	} else {
		f.readV1(h, cgroup, all, &u)
	}
	u.Memory.WorkingSet = u.Memory.Usage - min(u.Memory.InactiveFile, u.Memory.Usage)
	if all && h.V2 != "" {
		pressure := filepath.Join(h.V2, cgroup)
		u.CPUPressure = f.pressure(filepath.Join(pressure, "cpu.pressure"))
		u.MemoryPressure = f.pressure(filepath.Join(pressure, "memory.pressure"))
		u.IOPressure = f.pressure(filepath.Join(pressure, "io.pressure"))
	}
	for i := range u.IO {
		u.IO[i].Device = deviceName(devices, u.IO[i].Major, u.IO[i].Minor)
	}
	r.memory.compare(&u)
	return u, true
}

// dir is a directory of a cgroup that has its processes.
func (r *Reader) dir(cgroup string) string {
	h := r.cfg.Hierarchies
	return cmp.Or(h.dir("cpu", cgroup), h.dir("cpuacct", cgroup), h.dir("memory", cgroup), h.dir("pids", cgroup))
}

// rest is what is measured of a pod.
type rest struct {
	// layers and logs are its containers', by their order; logs of the sandbox
	// there are none.
	layers, logs []place
	sandbox      place
	volumes      []place // of the pod's volumes, by their order; empty for those not podd's
}

// pod reads all of one pod; nil when it has no cgroup.
func (r *Reader) pod(f *files, p *corev1.Pod, of pod.UsageOf, devices map[string]string) (*pod.PodUsage, rest) {
	u := &pod.PodUsage{Pod: p}
	var more rest
	var ok bool
	if u.CgroupUsage, ok = r.group(f, r.cfg.PodCgroup(p.UID), of, devices); !ok {
		return nil, more
	}
	if of == pod.UsageAll {
		more.sandbox.pid = r.sandbox(f, u, devices)
	}
	for _, s := range statuses(p) {
		_, id, _ := strings.Cut(s.ContainerID, "://")
		if id == "" {
			continue
		}
		c := pod.ContainerUsage{Name: s.Name, ID: id, Image: s.Image, Started: startOf(s)}
		if c.CgroupUsage, ok = r.group(f, r.cfg.ContainerCgroup(p.UID, id), of, devices); !ok {
			continue
		}
		if of == pod.UsageAll {
			pid := f.processes(r.dir(c.Path), r.cfg.Proc, &c.Processes)
			more.layers = append(more.layers, place{pid: pid})
			more.logs = append(more.logs, place{dir: r.cfg.LogDir(pod.Key{UID: p.UID, Namespace: p.Namespace, Name: p.Name}, s.Name)})
			add(&u.Processes, c.Processes)
		}
		u.Containers = append(u.Containers, c)
	}
	if of == pod.UsageAll {
		more.volumes = r.volumes(p)
	}
	return u, more
}

// add leaves threads and limits alone: the pod's cgroup has them.
func add(to *pod.ProcessUsage, p pod.ProcessUsage) {
	to.Processes += p.Processes
	to.Files += p.Files
	to.Sockets += p.Sockets
}

// mostAttempts is how many attempts of a sandbox are looked for beyond the last
// one that was found.
const mostAttempts = 64

// sandbox finds the pause container by its id, which tells its attempt, and
// reads it. It returns its process, 0 when there is none.
func (r *Reader) sandbox(f *files, u *pod.PodUsage, devices map[string]string) (pid int) {
	uid := u.Pod.UID
	last := r.memory.attempt(uid)
	for attempt := last; attempt < last+mostAttempts; attempt++ {
		c := pod.ContainerUsage{Name: pod.SandboxName, ID: pod.ID(uid, pod.SandboxName, attempt), Image: r.cfg.SandboxImage}
		var ok bool
		if c.CgroupUsage, ok = r.group(f, r.cfg.SandboxCgroup(uid, c.ID), pod.UsageAll, devices); !ok {
			continue
		}
		r.memory.found(uid, attempt)
		if pid = f.processes(r.dir(c.Path), r.cfg.Proc, &c.Processes); pid != 0 {
			c.Started = f.started(r.cfg.Proc, pid, r.booted)
			if !u.Pod.Spec.HostNetwork {
				u.Network = f.network(filepath.Join(r.cfg.Proc, strconv.Itoa(pid), "net", "dev"))
			}
		}
		add(&u.Processes, c.Processes)
		u.Sandbox = &c
		return pid
	}
	return 0
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	s := p.Status
	all := make([]corev1.ContainerStatus, 0, len(s.InitContainerStatuses)+len(s.ContainerStatuses)+len(s.EphemeralContainerStatuses))
	return append(append(append(all, s.InitContainerStatuses...), s.ContainerStatuses...), s.EphemeralContainerStatuses...)
}

func startOf(s corev1.ContainerStatus) time.Time {
	if s.State.Running != nil {
		return s.State.Running.StartedAt.Time
	}
	return time.Time{}
}

// volumes are the places of those that podd keeps: what is the host's was there
// before, and may be large.
func (r *Reader) volumes(p *corev1.Pod) []place {
	places := make([]place, len(p.Spec.Volumes))
	for i, v := range p.Spec.Volumes {
		if v.HostPath == nil && v.PersistentVolumeClaim == nil {
			places[i].dir = r.cfg.VolumePath(p.UID, v)
		}
	}
	return places
}

// measure fills in what things take on disk, as far as it is known.
func (r *Reader) measure(pods []*pod.PodUsage, rests []rest) {
	var places []place
	for _, m := range rests {
		places = append(places, m.sandbox)
		places = append(append(append(places, m.layers...), m.logs...), m.volumes...)
	}
	places = notNothing(places)
	known := r.meter.ask(places)
	for i, u := range pods {
		if u == nil {
			continue
		}
		for j := range u.Containers {
			u.Containers[j].Layer, u.Containers[j].Logs = known[rests[i].layers[j]], known[rests[i].logs[j]]
		}
		if u.Sandbox != nil {
			u.Sandbox.Layer = known[rests[i].sandbox]
		}
		for j, v := range rests[i].volumes {
			if d := known[v]; d != nil {
				source := u.Pod.Spec.Volumes[j]
				u.Volumes = append(u.Volumes, pod.VolumeUsage{Name: source.Name, Memory: inMemory(source), DiskUsage: *d})
			}
		}
	}
}

func notNothing(places []place) []place {
	out := places[:0]
	for _, p := range places {
		if p != (place{}) {
			out = append(out, p)
		}
	}
	return out
}

// inMemory: podd has Secrets, and what is projected of them, in a tmpfs.
func inMemory(v corev1.Volume) bool {
	return v.Secret != nil || v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory
}

// images is nil when it can't be found out where they are.
func (r *Reader) images(ctx context.Context, devices map[string]string) *pod.DiskUsage {
	dir, err := r.cfg.Images(ctx)
	if err != nil {
		return nil
	}
	return fileSystem(dir, devices)
}
