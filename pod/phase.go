package pod

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// phaseMoves tells where a pod's phase may lead; it may always stay. Running
// goes back to Pending only when the init containers run again in a new
// sandbox, as in a kubelet.
//
//	none      -> Pending, Running, Succeeded, Failed
//	Pending   -> Running, Succeeded, Failed
//	Running   -> Pending, Succeeded, Failed
//	Succeeded ->
//	Failed    ->
func phaseMoves(from corev1.PodPhase) []corev1.PodPhase {
	switch from {
	case "":
		return []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed}
	case corev1.PodPending:
		return []corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed}
	case corev1.PodRunning:
		return []corev1.PodPhase{corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed}
	}
	return nil
}

// setPhase moves the phase if the table allows it.
func (d *decision) setPhase(to corev1.PodPhase) {
	if slices.Contains(phaseMoves(d.m.Durable.Phase), to) {
		d.m.Durable.Phase = to
	}
}

// setPhaseThatRuns leaves a pod's end to the end of its last container: nobody is
// to think before that it uses nothing any more.
func (d *decision) setPhaseThatRuns(to corev1.PodPhase) {
	if !terminal(to) || d.m.Durable.Verdict == nil && !d.anythingRuns() {
		d.setPhase(to)
	}
}

func terminal(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }

// finished says whether the pod is never to run again, whatever becomes of it.
func (d *decision) finished() bool {
	m := &d.m.Durable
	return terminal(m.Phase) || m.Rejected != nil || m.Verdict == nil && terminal(d.phase(false))
}

// tally counts the containers as the phase sees them.
type tally struct {
	initPending, initFailed                       int
	running, waiting, stopped, succeeded, forGood int
	// sidecarsBegin are those that have not started yet.
	sidecarsBegin int
}

// phase is what the containers' states come to, by the kubelet's rules; sidecars
// that run do not keep a pod from its end. last says that no container will ever
// run again.
func (d *decision) phase(last bool) corev1.PodPhase {
	t := d.tally()
	switch {
	case t.initFailed > 0:
		return corev1.PodFailed
	case t.initPending > 0 || t.waiting > 0 || t.sidecarsBegin > 0 && !d.appsBegun():
		return corev1.PodPending
	case t.running > 0:
		return corev1.PodRunning
	case t.stopped == 0:
		return corev1.PodPending
	case !last && t.stopped != t.forGood:
		return corev1.PodRunning
	case t.stopped == t.succeeded:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

func (d *decision) tally() tally {
	var t tally
	for i := range d.pod.Spec.InitContainers {
		d.tallyInit(&t, &d.pod.Spec.InitContainers[i])
	}
	for _, spec := range d.apps() {
		c := d.container(spec.Name)
		exit := c.ended()
		switch {
		case c.Stage == StageRunning:
			t.running++
		case exit == nil:
			t.waiting++
		default:
			t.stopped++
			if exit.Code == 0 {
				t.succeeded++
			}
			if c.Stage == StageExited && !d.shouldRestart(spec, exit) {
				t.forGood++
			}
		}
	}
	return t
}

func (d *decision) tallyInit(t *tally, spec *corev1.Container) {
	c := d.container(spec.Name)
	exit := c.ended()
	switch {
	case isSidecar(spec):
		if c.Stage == StageRunning && !d.started(spec, c) {
			t.sidecarsBegin++
		}
	case c.Stage == StageRunning || exit == nil:
		t.initPending++
	case c.Stage == StageExited && exit.Code != 0 && !d.shouldRestart(spec, exit):
		t.initFailed++
	case c.Stage != StageExited && exit.Code == 0:
		t.initPending++
	}
}

// ended is the exit that stands for a container that does not run: its own, or
// while it is on its way to the next attempt, the last one's.
func (c *ContainerMemo) ended() *Exit {
	if c.Exit != nil {
		return c.Exit
	}
	return c.Last
}

// over says that a pod that is going down for good has nothing running left.
func (d *decision) over() bool {
	if d.in.Deleted == nil && d.m.Durable.Verdict == nil {
		return false
	}
	for _, c := range d.m.Durable.Containers {
		if c.Stage == StageRunning || c.Stage == StageCreating {
			return false
		}
	}
	return true
}

// learnPhase moves the phase to what the containers come to. A deleted pod
// ends in a terminal phase even if it never ran.
func (d *decision) learnPhase() {
	switch {
	case d.m.Durable.Rejected != nil:
		d.setPhase(corev1.PodFailed)
	case !d.over():
		d.setPhaseThatRuns(d.phase(false))
	case d.m.Durable.Verdict != nil:
		d.setPhase(corev1.PodFailed)
	default:
		if p := d.phase(true); terminal(p) {
			d.setPhase(p)
		} else {
			d.setPhase(corev1.PodFailed)
		}
	}
}
