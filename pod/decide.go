package pod

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Decide says what to do now for one pod, and when to look again. It changes
// nothing in its input, and the same input always gives the same output.
//
// A pod goes through this, each arrow as soon as it can:
//
//	cgroup + volumes -> network + sandbox + images -> init containers, one by
//	one -> all app containers -> probes, restarts
//
// and back, when it is finished, rejected, deleted or not in the store:
//
//	stop -> remove containers -> network + sandbox -> volumes + cgroup -> logs
//
// Logs go only with the pod. A pod whose sandbox is lost goes back as far as
// the sandbox and comes up again.
func Decide(in Input) Output {
	d := newDecision(in)
	for _, stage := range [...]func(*decision){
		(*decision).mendClock,
		(*decision).begin,
		(*decision).adopt,
		(*decision).learnContainers,
		(*decision).deadline,
		(*decision).learnSandbox,
		(*decision).act,
		(*decision).sweep,
		(*decision).report,
	} {
		stage(d)
	}
	maps.DeleteFunc(d.m.Volatile.Done, func(key string, _ Retry) bool { return !d.wanted[key] })
	d.out.Memo = d.m
	return d.out
}

// decision is one Decide in the making.
type decision struct {
	in  Input
	now time.Time
	pod *corev1.Pod
	// m is the memo in the making.
	m Memo
	// seen are the containers that exist, by id.
	seen map[string]*Container
	// taken are the subjects that have an action.
	taken map[Subject]bool
	// wanted are the keys of all actions that were asked for, held ones too.
	wanted map[string]bool
	// waiting is why a container does not run, for its status.
	waiting map[string]Trouble
	// holding is what keeps the pod from starting.
	holding string
	out     Output
}

func newDecision(in Input) *decision {
	in.Node.BackOff = backOffFor(in.Pod, in.Node.BackOff)
	d := &decision{
		in: in, now: in.Now, pod: in.Pod, m: in.Memo.clone(),
		seen: map[string]*Container{}, taken: map[Subject]bool{}, wanted: map[string]bool{}, waiting: map[string]Trouble{},
	}
	for i := range in.Seen.Containers {
		c := in.Seen.Containers[i]
		d.seen[c.ID] = &c
	}
	return d
}

// act chooses between coming up, staying up and going down.
func (d *decision) act() {
	switch {
	case d.goingDown():
		d.tearDown()
	case d.in.Shutdown != nil:
		d.endWithNode()
	case d.m.Durable.Sandbox.Lost && !d.resetSandbox():
	case d.finished(), d.gaveUpWaiting(): // with its sandbox, or before it had one
		d.tearDown()
	case d.restartingAll():
	default:
		d.watch() // what starts may wait for a probe of what runs
		d.bringUp()
		d.evict()
	}
}

// goingDown says whether the pod is never to come up again.
func (d *decision) goingDown() bool {
	return d.in.Deleted != nil || d.m.Durable.Verdict != nil || d.finished()
}

// begin notes when the pod was first seen, and first seen to be deleted: what
// failed before is tried at once then.
func (d *decision) begin() {
	m := &d.m.Durable
	d.outOfTurn()
	if m.StartedAt.IsZero() {
		m.StartedAt = d.now
		if r := m.Rejected; r != nil {
			d.event(corev1.EventTypeWarning, r.Reason, r.Message, "")
		}
	}
	if d.in.Deleted != nil && !m.Deleting {
		m.Deleting = true
		clear(m.Retries)
	}
}

// want puts an action on the list, unless its subject is taken or it failed
// and has to wait.
func (d *decision) want(a Action) {
	if d.taken[a.Subject] {
		return
	}
	key := retryKey(a)
	d.wanted[key] = true
	for _, held := range [...]map[string]Retry{d.m.Durable.Retries, d.m.Volatile.Done} {
		if r, ok := held[key]; ok {
			if due := r.due(d.retryPolicy()); due.After(d.now) {
				d.wake(due)
				return
			}
		}
	}
	d.taken[a.Subject] = true
	d.out.Do = append(d.out.Do, a)
}

// wake makes sure that Decide is called again at t, which is after now.
func (d *decision) wake(t time.Time) {
	if d.out.Wake.IsZero() || t.Before(d.out.Wake) {
		d.out.Wake = t
	}
}

func (d *decision) event(kind, reason, message, container string) {
	d.out.Events = append(d.out.Events, Event{Type: kind, Reason: reason, Message: message, Container: container})
}

// tell emits an event about a lasting trouble when it is news.
func (d *decision) tell(about string, e Event) {
	if text := e.Reason + ": " + e.Message; d.m.Durable.Told[about] != text {
		d.m.Durable.Told[about] = text
		d.out.Events = append(d.out.Events, e)
	}
}

// settled ends a trouble, so that it is told again if it comes back.
func (d *decision) settled(about string) { delete(d.m.Durable.Told, about) }

// container is what is remembered of one.
func (d *decision) container(name string) *ContainerMemo {
	c := d.m.Durable.Containers[name]
	if c == nil {
		c = &ContainerMemo{}
		d.m.Durable.Containers[name] = c
	}
	return c
}

// current is the container that exists of the current attempt, or nil.
func (d *decision) current(name string, c *ContainerMemo) *Container {
	return d.seen[ID(d.pod.UID, name, c.Attempt)]
}

// names are those of all containers remembered or seen, sorted.
func (d *decision) names() []string {
	var names []string
	for name := range d.m.Durable.Containers {
		names = append(names, name)
	}
	for _, c := range d.seen {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// attempts are the containers that exist, in an order that is always the same.
func (d *decision) attempts() []*Container {
	all := make([]*Container, 0, len(d.seen))
	for _, c := range d.seen {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Container) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Attempt, b.Attempt), strings.Compare(a.ID, b.ID))
	})
	return all
}

// podDesc names the pod as a kubelet's messages do.
func podDesc(p *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", p.Name, p.Namespace, p.UID)
}
