package pod

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// StartConditionsMet is the condition of a pod with the annotation
// StartAfterAnnotation; its message says what is waited for.
const StartConditionsMet corev1.PodConditionType = "podd.io/StartConditionsMet"

// reasonWaiting is why the containers of a held pod do not run.
const reasonWaiting = "WaitingToStart"

// Gate is how a pod's wait for its start conditions does. Each new sandbox goes
// through it anew, so that the order is kept after a reboot.
type Gate struct {
	// Sandbox is the attempt that it is about.
	Sandbox int `json:"sandbox,omitempty"`
	// Since is when the wait began.
	Since time.Time `json:"since"`
	// Open is set for good once the sandbox may be made.
	Open bool `json:"open,omitempty"`
}

// Held are the start conditions that a pod with this memo waits for, so that
// somebody may look how they stand: none, once it is through. An annotation that
// can't be read was admitted by nobody, and counts as none.
func Held(p *corev1.Pod, m Memo) []StartCondition {
	after, err := StartsAfter(p)
	if s := m.Durable.Sandbox; err != nil || s.Up || m.Durable.Gate.open(s.Attempt) {
		return nil
	}
	return after.Conditions
}

func (g *Gate) open(sandbox int) bool { return g != nil && g.Sandbox == sandbox && g.Open }

// gaveUpWaiting holds a pod that waits, and says whether it waited too long.
func (d *decision) gaveUpWaiting() bool {
	if conditions := Held(d.pod, d.m); len(conditions) > 0 {
		d.hold(conditions)
	}
	return d.m.Durable.Verdict != nil
}

// hold keeps a pod from starting while a start condition is not met.
func (d *decision) hold(conditions []StartCondition) {
	m := &d.m.Durable
	if m.Gate == nil || m.Gate.Sandbox != m.Sandbox.Attempt {
		m.Gate = &Gate{Sandbox: m.Sandbox.Attempt, Since: d.now}
	}
	unmet := d.unmet(conditions)
	if len(unmet) == 0 {
		d.open(corev1.EventTypeNormal, "StartConditionsMet", fmt.Sprintf("All start conditions are met after %s", d.held()))
		return
	}
	what := strings.Join(unmet, ", ")
	after, _ := StartsAfter(d.pod) // Held has read it already
	if after.Timeout > 0 {
		due := m.Gate.Since.Add(after.Timeout)
		if !due.After(d.now) {
			d.giveUp(after, what)
			return
		}
		d.wake(due)
	}
	d.holding = what
	for _, spec := range append(d.turn(), d.unended()...) {
		d.waiting[spec.Name] = Trouble{Reason: reasonWaiting, Message: "waiting for " + what}
	}
	d.tell("start", Event{Type: corev1.EventTypeNormal, Reason: reasonWaiting, Message: "Waiting for " + what})
	d.wake(d.now.Add(lookAgain(d.held())))
}

func (d *decision) held() time.Duration {
	return max(0, d.now.Sub(d.m.Durable.Gate.Since)).Round(time.Millisecond)
}

// lookAgain is how soon to look at what nobody tells of, such as files: at once
// in the beginning, when a machine boots, and seldom once it took long.
func lookAgain(held time.Duration) time.Duration {
	return min(max(held/10, 100*time.Millisecond), 2*time.Second)
}

// unmet says of each condition that is not met how it stands.
func (d *decision) unmet(conditions []StartCondition) []string {
	var unmet []string
	for _, c := range conditions {
		s := d.in.Refs.Standings[c.String()]
		switch {
		case s.Met:
		case s.Detail == "":
			unmet = append(unmet, c.String())
		default:
			unmet = append(unmet, fmt.Sprintf("%s (%s)", c, s.Detail))
		}
	}
	return unmet
}

func (d *decision) open(kind, reason, message string) {
	d.m.Durable.Gate.Open = true
	d.settled("start")
	d.event(kind, reason, message, "")
}

// giveUp ends a wait that took too long, in the way that the pod asks for.
func (d *decision) giveUp(after StartAfter, what string) {
	const reason = "StartConditionsTimeout"
	message := fmt.Sprintf("Waited %s for %s", after.Timeout, what)
	if after.StartAnyway {
		d.open(corev1.EventTypeWarning, reason, message+": starting all the same")
		return
	}
	d.m.Durable.Verdict = &Verdict{Reason: reason, Message: message, At: d.now}
	d.event(corev1.EventTypeWarning, reason, message, "")
}

// startCondition is the pod's condition; ok is false for a pod that never waits.
func (d *decision) startCondition() (c corev1.PodCondition, ok bool) {
	after, err := StartsAfter(d.pod)
	if err != nil || len(after.Conditions) == 0 {
		return c, false
	}
	switch m := &d.m.Durable; {
	case d.holding != "":
		return condition(StartConditionsMet, reasonWaiting, "waiting for "+d.holding), true
	case m.Sandbox.Up || m.Gate.open(m.Sandbox.Attempt):
		return condition(StartConditionsMet, "", ""), true
	}
	return condition(StartConditionsMet, "NotStarted", "the pod was never started"), true
}

// Stopped says whether no process of a pod runs any more, as far as its status
// tells.
func Stopped(st *corev1.PodStatus) bool {
	for _, list := range [...][]corev1.ContainerStatus{st.InitContainerStatuses, st.ContainerStatuses, st.EphemeralContainerStatuses} {
		for _, cs := range list {
			if cs.State.Running != nil {
				return false
			}
		}
	}
	return true
}

// letsOthersEnd says whether a deleted pod waits for pods that start after it,
// are deleted too, and still run: they end first. What was begun goes on, and
// force waits for nobody.
func (d *decision) letsOthersEnd() bool {
	m, others := &d.m.Durable, d.in.Refs.EndFirst
	if del := d.in.Deleted; del == nil || del.Force || d.in.Shutdown != nil || len(others) == 0 || !m.Turn.IsZero() || d.stopping() {
		if m.Waited && m.Turn.IsZero() {
			m.Turn = d.now
		}
		return false
	}
	m.Waited = true
	d.tell("stop", Event{
		Type: corev1.EventTypeNormal, Reason: "WaitingToStop",
		Message: "Waiting for the end of what starts after this pod: " + strings.Join(others, ", "),
	})
	return true
}

func (d *decision) stopping() bool {
	for _, c := range d.m.Durable.Containers {
		if c.Stop != nil {
			return true
		}
	}
	return false
}
