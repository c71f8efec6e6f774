package pod

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

// The oracle says once more what Kubernetes promises of restarts and of the phase,
// as simply as can be: it knows when each container's process ends and with what
// code, and draws up when each starts. It is written from Kubernetes'
// documentation and from what a kubelet does, and shares nothing with Decide.

// TestOracle compares the two over random pods.
func TestOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOracle(t)
		w := newWorld(Input{Now: scenarioStart, Pod: o.pod, Node: testNode()})
		w.in.Node.BackOff = BackOffPolicy{Initial: 10 * time.Second, Max: o.most}
		if diff := cmp.Diff(o.starts(), o.watch(t, w)); diff != "" {
			t.Fatalf("containers start at other times than expected:\n%s\n%s", diff, podYAML(t, o.pod))
		}
	})
}

// oracle is a pod and how its containers fare: the n-th process of one runs for a
// time and ends with a code; after the last it goes round.
type oracle struct {
	pod  *corev1.Pod
	runs map[string][]run
	// most is the longest back-off.
	most time.Duration
	// until is how long to look.
	until time.Duration
}

type run struct {
	lasts time.Duration
	code  int
}

// span is one process of a container: from and to count from the pod's start;
// wait is how long the next one is held back.
type span struct {
	from, to time.Duration
	code     int
	again    bool
	wait     time.Duration
}

func drawOracle(t *rapid.T) *oracle {
	o := &oracle{pod: drawPod(t), runs: map[string][]run{}, until: time.Hour}
	o.most = rapid.SampledFrom([]time.Duration{7 * time.Second, time.Minute, 5 * time.Minute}).Draw(t, "most")
	o.pod.Annotations, o.pod.Spec.ActiveDeadlineSeconds, o.pod.Spec.Volumes = nil, nil, nil
	for _, c := range Containers(o.pod) {
		c.Env, c.Lifecycle, c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = nil, nil, nil, nil, nil
		c.ImagePullPolicy = corev1.PullIfNotPresent
		for i := range c.RestartPolicyRules {
			c.RestartPolicyRules[i].Action = corev1.ContainerRestartRuleActionRestart
		}
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			longest := rapid.SampledFrom([]int{5, 60, 700}).Draw(t, "longest")
			o.runs[c.Name] = append(o.runs[c.Name], run{
				lasts: time.Duration(rapid.IntRange(1, longest).Draw(t, "lasts")) * time.Second,
				code:  rapid.SampledFrom([]int{0, 0, 1, 3, 137}).Draw(t, "code"),
			})
		}
	}
	return o
}

// policyFor is the restart policy that counts for a container when no rule of
// its own does: its own, or else its pod's.
func policyFor(p *corev1.Pod, c *corev1.Container) corev1.RestartPolicy {
	if c.RestartPolicy != nil {
		return corev1.RestartPolicy(*c.RestartPolicy)
	}
	return p.Spec.RestartPolicy
}

// again says whether Kubernetes starts a container anew after it ended.
func again(p *corev1.Pod, c *corev1.Container, code int) bool {
	for _, rule := range c.RestartPolicyRules {
		listed := slices.Contains(rule.ExitCodes.Values, int32(code))
		if rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn && listed {
			return true
		}
		if rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn && !listed {
			return true
		}
	}
	policy := policyFor(p, c)
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
}

// spans are the processes of a container that first starts at from. The first
// restart comes at once, the next 10 s after the end, then 20 s, and so on up to
// the most; a process that ran for more than twice the most begins that anew.
func (o *oracle) spans(c *corev1.Container, from time.Duration, init bool) []span {
	var all []span
	wait := time.Duration(0)
	for n := 0; from <= o.until; n++ {
		r := o.runs[c.Name][n%len(o.runs[c.Name])]
		s := span{from: from, to: from + r.lasts, code: r.code, again: again(o.pod, c, r.code)}
		if init && r.code == 0 {
			s.again = false
		}
		if r.lasts > 2*o.most {
			wait = 0
		}
		s.wait = wait
		all = append(all, s)
		if !s.again {
			break
		}
		from = s.to + wait
		wait = min(max(2*wait, 10*time.Second), o.most)
	}
	return all
}

// plan is when what happens: the processes of each container, and when the pod
// ends; never is after until.
func (o *oracle) plan() (all map[string][]span, end time.Duration) {
	all, end = map[string][]span{}, 2*o.until
	begin := time.Duration(0)
	for i := range o.pod.Spec.InitContainers {
		c := &o.pod.Spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		all[c.Name] = o.spans(c, begin, !sidecar)
		if sidecar {
			continue // the next one starts as soon as it runs
		}
		last := all[c.Name][len(all[c.Name])-1]
		if last.again {
			return all, end // never through
		}
		if last.code != 0 {
			return all, last.to
		}
		begin = last.to
	}
	end = 0
	for i := range o.pod.Spec.Containers {
		c := &o.pod.Spec.Containers[i]
		all[c.Name] = o.spans(c, begin, false)
		last := all[c.Name][len(all[c.Name])-1]
		if end = max(end, last.to); last.again || last.to > o.until {
			end = 2 * o.until
		}
	}
	return all, end
}

// starts are all starts of containers, as lines.
func (o *oracle) starts() []string {
	all, end := o.plan()
	var lines []string
	for name, spans := range all {
		for n, s := range spans {
			if s.from < end && s.from <= o.until {
				lines = append(lines, fmt.Sprintf("%6.0fs StartContainer container/%s#%d", s.from.Seconds(), name, n))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// watch lets the pod live, and gives the starts that there were. On the way it
// compares what the pod's status says with the plan.
func (o *oracle) watch(t *rapid.T, w *world) []string {
	var lines []string
	w.trace = func(text string) {
		if strings.HasPrefix(text, "StartContainer ") {
			lines = append(lines, fmt.Sprintf("%6.0fs %s", w.now.Sub(scenarioStart).Seconds(), text))
		}
	}
	all, end := o.plan()
	for at := scenarioStart; !at.After(scenarioStart.Add(o.until)); at = o.next(w) {
		w.pass(at)
		for _, c := range w.in.Seen.Containers {
			if r := o.runOf(c); c.State == Running && !c.StartedAt.Add(r.lasts).After(at) {
				w.exit(c.ID, r.code)
			}
		}
		w.settle()
		now := at.Sub(scenarioStart)
		o.compare(t, w.last.Status, all, end, now)
		if now >= end {
			break
		}
	}
	if len(w.wrong) > 0 {
		t.Fatal(w.wrong)
	}
	slices.Sort(lines)
	return lines
}

func (o *oracle) runOf(c Container) run { return o.runs[c.Name][c.Attempt%len(o.runs[c.Name])] }

// next is when something happens next: a process ends, or the pod is to be looked
// at again.
func (o *oracle) next(w *world) time.Time {
	next := w.last.Wake
	for _, c := range w.in.Seen.Containers {
		if ends := c.StartedAt.Add(o.runOf(c).lasts); c.State == Running && (next.IsZero() || ends.Before(next)) {
			next = ends
		}
	}
	if next.IsZero() {
		return w.now.Add(o.until)
	}
	return next
}

// compare holds a status at a time against the plan.
func (o *oracle) compare(t *rapid.T, st corev1.PodStatus, all map[string][]span, end, now time.Duration) {
	want := []string{"phase " + string(o.phase(all, end, now))}
	got := []string{"phase " + string(st.Phase)}
	for _, cs := range slices.Concat(st.InitContainerStatuses, st.ContainerStatuses) {
		if now >= end && !over(all[cs.Name], now) {
			continue // ended by the pod's end, not by itself
		}
		want = append(want, cs.Name+" "+o.state(cs.Name, all[cs.Name], now))
		got = append(got, cs.Name+" "+stateOf(cs))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("at %s, not as expected:\n%s\n%s", now, diff, podYAML(t, o.pod))
	}
}

// state is what a status is to say of a container.
func (o *oracle) state(name string, spans []span, now time.Duration) string {
	n, s := current(spans, now)
	switch {
	case n < 0 && len(o.pod.Spec.InitContainers) > 0:
		return "0 restarts, waiting PodInitializing"
	case n < 0:
		return "0 restarts, waiting ContainerCreating"
	case now < s.to:
		return fmt.Sprintf("%d restarts, running", n)
	case s.again:
		return fmt.Sprintf("%d restarts, waiting CrashLoopBackOff back-off %s restarting failed container=%s pod=p_default(u), last %d",
			n, s.wait, name, s.code)
	}
	return fmt.Sprintf("%d restarts, ended with %d", n, s.code)
}

func stateOf(cs corev1.ContainerStatus) string {
	text := fmt.Sprintf("%d restarts, ", cs.RestartCount)
	switch st := cs.State; {
	case st.Running != nil:
		return text + "running"
	case st.Terminated != nil:
		return text + fmt.Sprintf("ended with %d", st.Terminated.ExitCode)
	case st.Waiting != nil:
		text += strings.TrimSpace(fmt.Sprintf("waiting %s %s", st.Waiting.Reason, st.Waiting.Message))
	}
	if last := cs.LastTerminationState.Terminated; last != nil && cs.State.Waiting != nil {
		text += fmt.Sprintf(", last %d", last.ExitCode)
	}
	return text
}

// current is the last process that had started by now; -1 if none had.
func current(spans []span, now time.Duration) (int, span) {
	for n := len(spans) - 1; n >= 0; n-- {
		if spans[n].from <= now {
			return n, spans[n]
		}
	}
	return -1, span{}
}

// over says whether a container has ended for good.
func over(spans []span, now time.Duration) bool {
	n, s := current(spans, now)
	return n >= 0 && s.to <= now && !s.again
}

// phase is by the words of Kubernetes' documentation. Pending: not all containers
// have been set up. Running: they have, and at least one runs or is being
// restarted. Succeeded: all have ended in success, and none will be restarted.
// Failed: the same, but one at least in failure.
func (o *oracle) phase(all map[string][]span, end, now time.Duration) corev1.PodPhase {
	begun, failed := 0, false
	for name, spans := range all {
		n, s := current(spans, now)
		app := !strings.HasPrefix(name, "init")
		if n >= 0 && app {
			begun++
		}
		if over(spans, now) && s.code != 0 {
			failed = true
		}
	}
	switch {
	case now >= end && failed:
		return corev1.PodFailed
	case now >= end:
		return corev1.PodSucceeded
	case begun < len(o.pod.Spec.Containers):
		return corev1.PodPending
	}
	return corev1.PodRunning
}
