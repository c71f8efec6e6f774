package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// World is a host. What is on it survives the sessions of podd that act on it.
// All its methods may be called by many goroutines.
type World struct {
	mu sync.Mutex
	// images are here, registry can be pulled.
	images, registry map[string]*Image
	pods             map[types.UID]*remains
	down             bool
	ears             map[*ear]bool
	// faults is asked at the beginning of every effect.
	faults  func(Op) Fault
	latency func(pod.Kind) time.Duration
	// recalls tells what the store holds of a pod; see CheckMemos.
	recalls  func(types.UID) *pod.Durable
	ops      int
	busy     map[string]Op
	heavy    int
	maxHeavy int
	reboots  int
	wrong    []string
	node     *corev1.Node
	// standings are how start conditions stand.
	standings map[string]pod.Standing
	// imageDisk and logDisk are how full the disks are; of no size until Fill.
	imageDisk, logDisk pod.FileSystem
}

// remains is all that exists of one pod.
type remains struct {
	key        pod.Key
	cgroup     bool
	volumes    map[string]string
	files      bool
	logs       bool
	texts      map[string]*text // by container/attempt
	network    *pod.Network
	hostPorts  []pod.HostPort
	sandboxes  map[string]*pod.Sandbox
	containers map[string]*container
	// through are the init containers that succeeded, by name: the sandbox they
	// did it in.
	through map[string]string
	// started counts how often each attempt's process was started.
	started map[string]int
}

// New is a host on which nothing is.
func New() *World {
	return &World{
		images: map[string]*Image{}, registry: map[string]*Image{}, pods: map[types.UID]*remains{}, ears: map[*ear]bool{},
		faults: func(Op) Fault { return Fault{} }, latency: func(pod.Kind) time.Duration { return 0 },
		busy: map[string]Op{}, node: newNode(), standings: map[string]pod.Standing{},
	}
}

// of is what exists of a pod; it is made when there is nothing. The lock is
// held.
func (w *World) of(uid types.UID) *remains {
	r := w.pods[uid]
	if r == nil {
		r = &remains{
			key: pod.Key{UID: uid}, volumes: map[string]string{}, texts: map[string]*text{}, sandboxes: map[string]*pod.Sandbox{},
			containers: map[string]*container{}, through: map[string]string{}, started: map[string]int{},
		}
		w.pods[uid] = r
	}
	return r
}

// leftovers names all that exists of a pod.
func (r *remains) leftovers() []string {
	var all []string
	add := func(is bool, what string) {
		if is {
			all = append(all, what)
		}
	}
	add(r.cgroup, "cgroup")
	add(r.files, "files")
	add(r.logs, "logs")
	add(r.network != nil, "network")
	for name := range r.volumes {
		add(true, "volume "+name)
	}
	for _, s := range r.sandboxes {
		add(true, fmt.Sprintf("sandbox %d (%s)", s.Attempt, s.State))
	}
	for _, c := range r.containers {
		add(true, fmt.Sprintf("container %s/%d (%s)", c.Name, c.Attempt, c.State))
	}
	slices.Sort(all)
	return all
}

// Leftovers names all that exists of any pod.
func (w *World) Leftovers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for uid, r := range w.pods {
		for _, what := range r.leftovers() {
			all = append(all, fmt.Sprintf("%s: %s", uid, what))
		}
	}
	slices.Sort(all)
	return all
}

// violate notes a breach of the ports' contract. The lock is held.
func (w *World) violate(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// Wrong tells every breach of the ports' contract so far.
func (w *World) Wrong() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// Ops is how many effects have begun.
func (w *World) Ops() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ops
}

// MaxHeavy is the highest number of sandboxes, networks and containers that
// were being made or removed at once.
func (w *World) MaxHeavy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.maxHeavy
}

// Break sets what goes wrong from now on. f is asked at the beginning of every
// effect and must not call the world.
func (w *World) Break(f func(Op) Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = f
}

// Slow sets how long effects take from now on.
func (w *World) Slow(f func(pod.Kind) time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latency = f
}

// CheckMemos has the world check that what it is made to do is on disk: f tells
// what is stored about a pod, nil for one that is not to be checked. It must
// not call the world.
func (w *World) CheckMemos(f func(types.UID) *pod.Durable) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recalls = f
}

// Containerd stops (false) or starts containerd. Processes run on.
func (w *World) Containerd(up bool) {
	w.mu.Lock()
	w.down = !up
	ears := slices.Collect(maps.Keys(w.ears))
	w.mu.Unlock()
	for _, e := range ears {
		e.connect(up)
	}
}

// Reboot ends every process and loses what is volatile. No session may be
// alive.
func (w *World) Reboot() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reboots++
	for _, r := range w.pods {
		r.network, r.hostPorts, r.cgroup = nil, nil, false
		for _, s := range r.sandboxes {
			s.State = pod.Created
		}
		for _, c := range r.containers {
			c.stopTimer()
			c.State, c.StartedAt, c.FinishedAt, c.ExitCode, c.Signal = pod.Created, time.Time{}, time.Time{}, 0, 0
		}
	}
}

// Plant leaves the remains of a pod that nobody knows, with a container that
// runs a program.
func (w *World) Plant(key pod.Key, p Program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.of(key.UID)
	r.key, r.cgroup, r.files, r.logs = key, true, true, true
	r.volumes["data"] = ""
	r.network = &pod.Network{Ready: true, IPs: []string{"10.88.9.9"}}
	sandbox := pod.ID(key.UID, pod.SandboxName, 0)
	r.sandboxes[sandbox] = &pod.Sandbox{ID: sandbox, State: pod.Running, CreatedAt: time.Now()}
	id := pod.ID(key.UID, "lost", 0)
	c := &container{Container: pod.Container{
		ID: id, Name: "lost", SandboxID: sandbox, State: pod.Created, CreatedAt: time.Now(),
	}}
	r.containers[id] = c
	w.begins(r, c, p)
}

// Running names the running containers of a pod, sorted.
func (w *World) Running(uid types.UID) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	if r := w.pods[uid]; r != nil {
		for _, c := range r.containers {
			if c.State == pod.Running {
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Volumes are the volumes of a pod, with their hashes.
func (w *World) Volumes(uid types.UID) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.pods[uid]; r != nil {
		return maps.Clone(r.volumes)
	}
	return nil
}

// Meet says from now on how a start condition stands; none of those that
// nobody said anything of is met.
func (w *World) Meet(condition string, s pod.Standing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.standings[condition] = s
}

// Stands implements agent.Conditions.
func (w *World) Stands(_ context.Context, c pod.StartCondition) pod.Standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.standings[c.String()]
}
