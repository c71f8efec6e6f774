package pod

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// minGrace is what every container gets, as in a kubelet: no KILL hard on
// TERM's heels. Force goes below it.
const minGrace = 2 * time.Second

// stopOrder is the wish to end a container.
type stopOrder struct {
	because string
	grace   time.Duration
	force   bool
	again   bool
}

// stop notes that a container is to end. What ends already keeps its reason,
// and can only end sooner.
func (d *decision) stop(name string, c *ContainerMemo, o stopOrder) {
	grace := max(o.grace, minGrace)
	if o.force {
		grace = 0
	}
	if c.Stop == nil {
		c.Stop = &Stop{Because: o.because, At: d.now, KillAt: d.now.Add(grace), Again: o.again}
		d.event(corev1.EventTypeNormal, "Killing", o.because, name)
		return
	}
	c.Stop.KillAt = earlier(c.Stop.KillAt, d.now.Add(grace))
}

// kill sends the signal that is due to a container that is being stopped.
func (d *decision) kill(name string, c *ContainerMemo) {
	s := c.Stop
	if s == nil || d.preStop(name, c) {
		return
	}
	if !s.KillAt.After(d.now) {
		d.signal(name, c.Attempt, syscall.SIGKILL, s.Because)
		return
	}
	if !s.Termed {
		d.signal(name, c.Attempt, c.stopSignal(), s.Because)
	}
	d.wake(s.KillAt)
}

func (d *decision) signal(name string, attempt int, sig syscall.Signal, why string) {
	d.want(Action{
		Kind: SignalContainer, Subject: SubjectContainer(name), Reason: why, Attempt: attempt,
		Signal: &SignalConfig{ID: ID(d.pod.UID, name, attempt), Signal: sig},
	})
}

// restarts says whether the policy ever restarts a container that we ended,
// however it took it.
func (d *decision) restarts(spec *corev1.Container) bool {
	return spec != nil && policyOf(d.pod, spec) != corev1.RestartPolicyNever
}

// grace is what the pod gives its containers to end.
func (d *decision) grace() time.Duration {
	return graceOf(d.pod)
}

// stopAll ends every container, and says whether none exists any more, nor is
// on its way.
func (d *decision) stopAll() bool {
	o := stopOrder{grace: d.grace()}
	if del := d.in.Deleted; del != nil {
		o.grace, o.force = del.Grace, del.Force
	}
	grace := o.grace
	d.discardAll() // before who is still needed is asked
	for _, name := range d.names() {
		c := d.container(name)
		if c.Stage != StageRunning {
			continue
		}
		o.because = fmt.Sprintf("Stopping container %s", name)
		o.again = d.m.Durable.Verdict == nil && d.restarts(findContainer(d.pod, name))
		o.grace = d.remaining(grace)
		d.stop(name, c, o)
		d.hurry(c.Stop)
		if !d.waitsForTurn(name, c) {
			d.kill(name, c)
		}
	}
	return len(d.seen) == 0 && !d.inFlight(SubjectContainer(""))
}

// inFlight says whether an action is under way on a subject of this beginning.
func (d *decision) inFlight(beginning Subject) bool {
	return slices.ContainsFunc(d.in.InFlight, func(s Subject) bool {
		return strings.HasPrefix(string(s), string(beginning))
	})
}

// waitsForTurn says whether a sidecar that is being stopped has to run on, since
// what was started after it has not ended yet. Its preStop hook does not wait,
// as in a kubelet; after its turn has come it has minGrace at least.
func (d *decision) waitsForTurn(name string, c *ContainerMemo) bool {
	s := c.Stop
	if d.needed(name) && s.TurnAt.IsZero() && !s.Termed {
		d.preStop(name, c)
		return true
	}
	if s.TurnAt.IsZero() && !s.Termed && s.KillAt.After(s.At) {
		s.TurnAt = d.now
		s.KillAt = later(s.KillAt, d.now.Add(minGrace))
	}
	return false
}

// discardAll gives up all attempts that never ran.
func (d *decision) discardAll() {
	for _, name := range d.names() {
		if c := d.container(name); c.Stage == StageCreating {
			d.discard(name, c)
		}
	}
}

// discard gives up an attempt that never ran.
func (d *decision) discard(name string, c *ContainerMemo) {
	if seen := d.current(name, c); seen != nil {
		d.remove(seen.ID, name, c.Attempt, "it is not to run")
		return
	}
	*c = ContainerMemo{Attempt: c.Attempt, Sandbox: c.Sandbox, Last: c.Last, BackOff: c.BackOff, Restarts: c.Restarts}
}

// tearDown takes a pod apart. Its logs and its object go only with a deletion.
func (d *decision) tearDown() {
	seen := &d.in.Seen
	if d.letsOthersEnd() || !d.stopAll() || !d.removeSandbox() {
		return
	}
	if (seen.Files || len(seen.Volumes) > 0) && !d.inFlight(SubjectVolume("")) {
		d.want(Action{Kind: RemoveVolumes, Subject: SubjectFiles, Reason: "nothing of the pod runs"})
	}
	if seen.Cgroup {
		d.want(Action{Kind: RemoveCgroup, Subject: SubjectCgroup, Reason: "nothing of the pod runs", Cgroup: &CgroupConfig{UID: d.pod.UID}})
	}
	if d.in.Deleted == nil {
		d.collectLogs()
		return
	}
	if seen.Logs && !seen.Files && len(seen.Volumes) == 0 {
		d.want(Action{Kind: RemoveLogs, Subject: SubjectFiles, Reason: "the pod is deleted"})
	}
	d.out.Gone = !seen.Cgroup && !seen.Files && !seen.Logs && len(seen.Volumes) == 0 && len(d.in.InFlight) == 0
}

// collectLogs removes the logs of a finished pod when they are in the way.
func (d *decision) collectLogs() {
	if d.in.DropLogs == "" || !d.in.Seen.Logs {
		return
	}
	d.tell("logs/collected", Event{
		Type: corev1.EventTypeNormal, Reason: "LogsGarbageCollected",
		Message: "Removed the logs of the finished pod: " + d.in.DropLogs,
	})
	d.want(Action{Kind: RemoveLogs, Subject: SubjectFiles, Reason: d.in.DropLogs})
}

// removeSandbox removes all sandboxes and the network, and says whether they
// are gone.
func (d *decision) removeSandbox() bool {
	if d.in.Seen.Network != nil {
		d.want(Action{Kind: RemoveNetwork, Subject: SubjectNetwork, Reason: "nothing of the pod runs", Network: d.networkConfig()})
	}
	for _, s := range d.in.Seen.Sandboxes {
		d.want(Action{
			Kind: RemoveSandbox, Subject: SubjectSandbox, Reason: "nothing of the pod runs", ID: s.ID, Attempt: s.Attempt,
		})
	}
	return d.in.Seen.Network == nil && len(d.in.Seen.Sandboxes) == 0 &&
		!d.inFlight(SubjectNetwork) && !d.inFlight(SubjectSandbox)
}

// resetSandbox clears away everything that lived in a lost sandbox, and says
// whether that is done and the next attempt may come.
func (d *decision) resetSandbox() bool {
	if !d.stopAll() || !d.removeSandbox() {
		return false
	}
	s, policy := &d.m.Durable.Sandbox, d.in.Node.BackOff
	*s = SandboxMemo{
		Attempt:   s.Attempt + 1,
		NotBefore: s.BackOff.ready(policy, d.now),
		BackOff:   s.BackOff.next(policy, d.now, d.now),
	}
	d.endForGood()
	return true
}

// endForGood gives up the containers that never ran of a pod that may not run
// twice and has begun.
func (d *decision) endForGood() {
	if d.pod.Spec.RestartPolicy != corev1.RestartPolicyNever || !d.begun() {
		return
	}
	for _, spec := range d.apps() {
		if c := d.container(spec.Name); c.Stage != StageExited {
			d.ended(c, &Exit{Code: codeUnknown, Reason: reasonUnknown, Message: messageUnknown, FinishedAt: d.now})
		}
	}
}

// begun says whether any app container ever ran.
func (d *decision) begun() bool {
	for _, spec := range d.apps() {
		if c := d.container(spec.Name); c.Stage == StageExited || c.Last != nil {
			return true
		}
	}
	return false
}
