package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/pod"
)

// progress is of the pod by name.
func (r *rig) progress(name string) agent.Progress {
	r.t.Helper()
	all := r.life.agent.Progress()
	i := slices.IndexFunc(all, func(p agent.Progress) bool { return p.Pod.Name == name })
	if i < 0 {
		r.t.Fatalf("no progress of %s in %v", name, all)
	}
	return all[i]
}

// told writes steps down: their kind, subject, and when they were wanted, began
// and ended, in milliseconds of the start.
func told(s agent.Start) []string {
	var all []string
	ms := func(at time.Time) int64 { return at.Sub(s.Begun).Milliseconds() }
	for _, step := range s.Steps {
		line := fmt.Sprintf("%s %s %d-%d-%d", step.Kind, step.Subject, ms(step.Wanted), ms(step.Began), ms(step.Ended))
		all = append(all, strings.TrimSpace(line+" "+step.Error))
	}
	slices.Sort(all)
	return all
}

// slowActions makes the actions of a start take so long, and nothing else.
func (r *rig) slowActions(d time.Duration) {
	r.world.Slow(func(k pod.Kind) time.Duration {
		switch k {
		case pod.CreateCgroup, pod.SetupNetwork, pod.CreateSandbox, pod.PullImage, pod.CreateContainer, pod.StartContainer:
			return d
		}
		return 0
	})
}

func TestAStartIsToldStepByStep(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.slowActions(100 * time.Millisecond)
		before := time.Now()
		r.apply(podNamed("web", nil))
		r.until("its sandbox is being made", time.Second, func() bool { return len(r.progress("web").UnderWay) > 0 })
		if p := r.progress("web"); !p.Over.IsZero() || p.UnderWay[0].Reason == "" || p.UnderWay[0].Wanted.IsZero() {
			t.Errorf("under way: %+v", p)
		}
		r.untilReady("web")
		s := r.progress("web").Start
		want := []string{
			"CreateCgroup cgroup 0-0-100",
			"CreateContainer container/main 200-200-300",
			"CreateSandbox sandbox 100-100-200",
			"PullImage image/app 100-200-200", // the fake's transfer takes no time, waiting for it does
			"SetupNetwork network 100-100-200",
			"StartContainer container/main 300-300-400",
		}
		if diff := cmp.Diff(want, told(s)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if s.Begun.Sub(before) > 10*time.Millisecond || s.Ready.Sub(s.Begun) != 400*time.Millisecond || s.Ready != s.Over || s.Outcome != agent.BecameReady {
			t.Errorf("it began at %v: %+v", before, s)
		}
		r.pass(time.Minute)
		if again := r.progress("web").Start; !cmp.Equal(s, again) {
			t.Errorf("it went on after the start was over: %+v", again)
		}
	})
}

// TestWaitingForATurnIsToldApart: one at a time is let through.
func TestWaitingForATurnIsToldApart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		r.limits.Containers = 1
		r.start()
		r.world.Slow(func(k pod.Kind) time.Duration {
			if k == pod.SetupNetwork {
				return time.Second
			}
			return 0
		})
		r.apply(podNamed("one", nil), podNamed("two", nil))
		r.untilReady("one")
		r.untilReady("two")
		var waits []time.Duration
		for _, name := range []string{"one", "two"} {
			for _, s := range r.progress(name).Steps {
				if s.Kind == pod.SetupNetwork {
					waits = append(waits, s.Began.Sub(s.Wanted).Round(time.Second))
				}
			}
		}
		slices.Sort(waits)
		if !slices.Equal(waits, []time.Duration{0, time.Second}) {
			t.Errorf("they waited %v", waits)
		}
	})
}

func TestThePullsTurnAndFailuresAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "nowhere" }))
		r.pass(5 * time.Second)
		s := r.progress("web").Start
		i := slices.IndexFunc(s.Steps, func(s agent.Step) bool { return s.Kind == pod.PullImage })
		if i < 0 || s.Steps[i].Error == "" || !s.Over.IsZero() {
			t.Errorf("%+v", s)
		}
		r.delete("web", nil)
		r.untilGone("web")
		if all := r.life.agent.Progress(); len(all) != 0 {
			t.Errorf("a pod that is gone is still told of: %v", all)
		}
	})
}

func TestTheWaitForStartConditionsIsAStep(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(after("web", "pod/db=Ready"))
		r.pass(10 * time.Second)
		r.apply(podNamed("db", nil))
		r.untilReady("web")
		s := r.progress("web").Start
		if len(s.Steps) == 0 || s.Steps[0].Kind != agent.Hold || s.Steps[0].Ended.Sub(s.Steps[0].Began).Round(time.Second) != 10*time.Second {
			t.Errorf("%v", told(s))
		}
	})
}

func TestOutcomes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("job", fake.Program{Runs: time.Second})
		r.apply(podNamed("ends", func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers[0].Image = "job"
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
				ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}, InitialDelaySeconds: 10,
			}
		}))
		r.pass(time.Minute)
		if s := r.progress("ends").Start; s.Outcome != agent.RanToEnd {
			t.Errorf("%+v", s)
		}
	})
}

// TestMomentsSurviveARestartOfPodd, steps do not; and it makes no start anew of
// one that is over.
func TestMomentsSurviveARestartOfPodd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		before := r.progress("web").Start
		r.pass(time.Hour)
		tr := &heard{}
		r.tracer = tr
		r.restart()
		after := r.progress("web").Start
		if !after.Begun.Equal(before.Begun) || !after.Ready.Equal(before.Ready) || after.Outcome != agent.BecameReady || after.Taken.IsZero() || len(after.Steps) != 0 {
			t.Errorf("before %+v\nafter  %+v", before, after)
		}
		if len(tr.lines) != 0 {
			t.Errorf("told of a start that was over: %q", tr.lines)
		}
	})
}

// TestAStartGoesOnAfterARestartOfPodd.
func TestAStartGoesOnAfterARestartOfPodd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		tr := &heard{}
		r.stop()
		r.tracer = tr
		r.start()
		r.slowActions(time.Second)
		r.apply(podNamed("web", nil))
		r.pass(1500 * time.Millisecond)
		begun := r.progress("web").Begun
		r.restart()
		r.untilReady("web")
		if s := r.progress("web").Start; !s.Begun.Equal(begun) || len(s.Steps) == 0 || s.Attempt != 0 {
			t.Errorf("it began at %v: %+v", begun, s)
		}
		if got := strings.Join(tr.lines, " "); strings.Count(got, "begin 0") != 2 || strings.Count(got, "over") != 1 || !strings.HasSuffix(got, "over 0 Ready") {
			t.Errorf("the tracer heard %s", got)
		}
	})
}

// TestALostSandboxBeginsAnotherStart, after a reboot of the host.
func TestALostSandboxBeginsAnotherStart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		tr := &heard{}
		r.stop()
		r.tracer = tr
		r.start()
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.stop()
		r.world.Reboot()
		r.start()
		rebooted := time.Now()
		r.until("it is up again", time.Minute, func() bool { return r.progress("web").Attempt == 1 && !r.progress("web").Ready.IsZero() })
		s := r.progress("web").Start
		if s.Begun.Before(rebooted.Add(-time.Second)) || len(s.Steps) < 5 || s.Taken.IsZero() {
			t.Errorf("%+v", s)
		}
		if got := strings.Join(tr.lines, " "); !strings.HasPrefix(got, "begin 0") || !strings.HasSuffix(got, "over 1 Ready") || !strings.Contains(got, "over 0 Ready begin 1") {
			t.Errorf("the tracer heard %s", got)
		}
	})
}

// heard is a tracer of one pod that writes down what it is told, but for steps.
type heard struct{ lines []string }

func (h *heard) Begin(s agent.Start) { h.lines = append(h.lines, fmt.Sprintf("begin %d", s.Attempt)) }

func (h *heard) Step(agent.Start, agent.Step) {}

func (h *heard) Over(s agent.Start) {
	h.lines = append(h.lines, fmt.Sprintf("over %d %s", s.Attempt, s.Outcome))
}
