package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ShutdownPolicy bounds the end of all pods with the machine.
type ShutdownPolicy struct {
	// Total is for all of them. The last part of it, Critical, is for the critical
	// ones alone.
	Total, Critical time.Duration
}

// Shutdown is how one pod is to end with the machine. Its processes end; what it
// is to be does not change, and so it comes back when the machine does.
type Shutdown struct {
	// At is when the machine began to go down.
	At time.Time
	// First are the pods, by namespace/name, that end before this one, and still
	// run. They are waited for until TurnAt.
	First  []string
	TurnAt time.Time
	// KillAt is when its patience ends.
	KillAt time.Time
}

// Ending is the machine's going down, as it began at a time.
type Ending struct {
	At     time.Time
	Policy ShutdownPolicy
}

// Candidate is a pod that ends with the machine.
type Candidate struct {
	Pod *corev1.Pod
	// Critical: it ends after all those that are not.
	Critical bool
}

// IsCritical says whether a priority is that of a system's critical pods.
func IsCritical(priority int32) bool { return priority >= systemCritical }

// Turn is how a pod is to end: after those that start after it, which is the
// reverse of the order of their start, and the critical ones last. Nobody's turn
// comes so late that nothing of the time is left.
func (e Ending) Turn(now time.Time, c Candidate, all []Candidate) Shutdown {
	others := e.At.Add(e.Policy.Total - e.Policy.Critical) // the end of those that are not critical
	s := Shutdown{At: e.At, KillAt: others}
	window := e.Policy.Total - e.Policy.Critical
	if c.Critical {
		s.KillAt, window = e.At.Add(e.Policy.Total), e.Policy.Critical
	}
	s.TurnAt = s.KillAt.Add(-min(graceOf(c.Pod), window/2))
	s.First = running(all, func(o Candidate) bool {
		return o.Critical == c.Critical && startsAfter(o.Pod, c.Pod)
	})
	if before := running(all, func(o Candidate) bool { return c.Critical && !o.Critical }); len(before) > 0 && others.After(now) {
		s.First, s.TurnAt = append(before, s.First...), others
	}
	return s
}

// running are the names of the pods of a kind that still run.
func running(all []Candidate, is func(Candidate) bool) []string {
	var names []string
	for _, c := range all {
		if !Stopped(&c.Pod.Status) && is(c) {
			names = append(names, c.Pod.Namespace+"/"+c.Pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

func startsAfter(p, other *corev1.Pod) bool {
	if p.Annotations[StartAfterAnnotation] == "" {
		return false // most pods
	}
	after, err := StartsAfter(p)
	return err == nil && slices.Contains(after.OtherPods(), types.NamespacedName{Namespace: other.Namespace, Name: other.Name})
}

func graceOf(p *corev1.Pod) time.Duration {
	if s := p.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}

// What a kubelet says of a pod that it ends with its node.
const (
	reasonTerminated  = "Terminated"
	messageTerminated = "Pod was terminated in response to imminent node shutdown."
	reasonShutdown    = "NodeShutdown"
)

// endWithNode ends what runs, once it is the pod's turn, and starts nothing.
func (d *decision) endWithNode() {
	s := d.in.Shutdown
	d.holdBack()
	if len(s.First) > 0 && s.TurnAt.After(d.now) && !d.stopping() {
		d.wake(s.TurnAt)
		d.watch()
		return
	}
	if m := &d.m.Durable; m.Turn.IsZero() && d.anythingRuns() {
		m.Turn = d.now
	}
	if d.interrupted() {
		d.m.Durable.Verdict = &Verdict{Reason: reasonTerminated, Message: messageTerminated, At: d.now}
		d.m.Durable.Conditions = putCondition(d.m.Durable.Conditions, disruption(), d.now)
	}
	d.stopAll()
}

// holdBack says of what does not run why it is not started.
func (d *decision) holdBack() {
	for _, spec := range append(d.turn(), d.unended()...) {
		if c := d.container(spec.Name); !c.runs() && c.Exit == nil {
			d.waiting[spec.Name] = Trouble{Reason: reasonShutdown, Message: "the machine is going down: it is started when the machine is up again"}
		}
	}
}

// interrupted says whether the pod has containers that run, and that may not run
// twice: it has failed then, as with a kubelet.
func (d *decision) interrupted() bool {
	runs := false
	for name, c := range d.m.Durable.Containers {
		if c.Stage != StageRunning || ephemeral(d.pod, name) != nil {
			continue
		}
		if d.restarts(findContainer(d.pod, name)) {
			return false
		}
		runs = true
	}
	return runs
}

// hurry bounds the end of what is being stopped by the machine's.
func (d *decision) hurry(stop *Stop) {
	if s := d.in.Shutdown; s != nil {
		stop.KillAt = earlier(stop.KillAt, s.KillAt)
	}
}

// leavesWithNode says whether the pod's turn to end with the machine has come.
func (d *decision) leavesWithNode() bool {
	return d.in.Shutdown != nil && d.in.Deleted == nil && !d.m.Durable.Turn.IsZero() && d.m.Durable.Rejected == nil && !terminal(d.m.Durable.Phase)
}

func disruption() corev1.PodCondition {
	return corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: corev1.PodReasonTerminationByKubelet, Message: messageTerminated,
	}
}

// reportShutdown tells that the pod ends with the machine, for as long as it
// does.
func (d *decision) reportShutdown(st *corev1.PodStatus) {
	if !d.leavesWithNode() {
		return
	}
	st.Reason, st.Message = reasonTerminated, messageTerminated
	c := disruption()
	c.ObservedGeneration = d.pod.Generation
	st.Conditions = putCondition(st.Conditions, c, d.m.Durable.Turn)
}

// outOfTurn forgets the turn of a pod that did not end after all.
func (d *decision) outOfTurn() {
	if d.in.Deleted == nil && d.in.Shutdown == nil {
		d.m.Durable.Turn = time.Time{}
	}
}
