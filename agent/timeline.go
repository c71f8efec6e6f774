package agent

import (
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// timeline gathers a pod's last start. What was, is written by the worker's
// goroutine alone; anybody may read it.
type timeline struct {
	tracer Tracer
	start  atomic.Pointer[Start]
	flying atomic.Pointer[[]*flight]
	// told: the tracer knows of the start, and not yet that it is over. Owned by the
	// worker's goroutine, as is held, which is since when the start waits for its
	// conditions.
	told bool
	held time.Time
}

// newTimeline goes on from what is remembered of the pod's last start; came is
// when the pod came, or this podd took it up.
func newTimeline(tracer Tracer, key pod.Key, known remembered, came time.Time) *timeline {
	t := &timeline{tracer: tracer}
	s := Start{Pod: key, Begun: came}
	if !known.Memo.StartedAt.IsZero() {
		s.Begun, s.Attempt = known.Memo.StartedAt, startAttempt(&known.Memo)
		if known.Start != nil {
			s = *known.Start
		}
		s.Pod, s.Taken = key, came
	}
	t.start.Store(&s)
	t.flying.Store(&[]*flight{})
	return t
}

// startAttempt: with the loss of a sandbox the next start begins.
func startAttempt(m *pod.Durable) int {
	if m.Sandbox.Lost {
		return m.Sandbox.Attempt + 1
	}
	return m.Sandbox.Attempt
}

// see notes what a decision shows of the start: that another has begun, how far
// it is, and whether it is over.
func (t *timeline) see(now time.Time, m *pod.Durable, status *corev1.PodStatus, deleted bool) {
	s := *t.start.Load()
	if attempt := startAttempt(m); attempt != s.Attempt {
		s.end(now, LostSandbox)
		if t.told {
			t.tracer.Over(s)
		}
		s = Start{Pod: s.Pod, Attempt: attempt, Begun: now, Taken: s.Taken}
		t.told = false
	}
	if !s.Over.IsZero() {
		t.start.Store(&s)
		return
	}
	if !t.told {
		t.told = true
		t.tracer.Begin(s)
	}
	t.hold(&s, now, m.Gate)
	if status.Phase == corev1.PodRunning && s.Running.IsZero() {
		s.Running = now
	}
	switch {
	case isReady(status):
		s.Ready = now
		s.end(now, BecameReady)
	case status.Phase == corev1.PodSucceeded:
		s.end(now, RanToEnd)
	case status.Phase == corev1.PodFailed:
		s.end(now, FailedToRun)
	case deleted:
		s.end(now, WasDeleted)
	}
	t.start.Store(&s)
}

// end is the first one's.
func (s *Start) end(now time.Time, how Outcome) {
	if s.Over.IsZero() {
		s.Over, s.Outcome = now, how
	}
}

// begins has an action that is started now belong to the start that goes on.
func (t *timeline) begins(f *flight) {
	if s := t.start.Load(); s.Over.IsZero() {
		f.start = s.Attempt
	} else {
		f.start = noStart
	}
}

// noStart is of actions that belong to none.
const noStart = -1

// hold makes a step of the wait for start conditions.
func (t *timeline) hold(s *Start, now time.Time, gate *pod.Gate) {
	waits := gate != nil && !gate.Open && gate.Sandbox == s.Attempt
	switch {
	case waits && t.held.IsZero():
		t.held = now
	case !waits && !t.held.IsZero():
		t.step(s, Step{Kind: Hold, Subject: "start conditions", Wanted: t.held, Began: t.held, Ended: now})
		t.held = time.Time{}
	}
}

// done notes a finished action, if it belongs to the start. It may come when that is
// over: a container is often seen running before its start has returned.
func (t *timeline) done(f *flight, r pod.Result) {
	s := *t.start.Load()
	if f == nil || f.start != s.Attempt {
		return
	}
	t.step(&s, stepOf(f, r))
	t.start.Store(&s)
}

func (t *timeline) step(s *Start, step Step) {
	*s = s.withStep(step)
	if t.told {
		t.tracer.Step(*s, step)
	}
}

// fly shows what is under way, and tells the tracer that the start is over once
// nothing of it is.
func (t *timeline) fly(flights map[pod.Subject]*flight) {
	if s := t.start.Load(); t.told && !s.Over.IsZero() && !belongs(flights, s.Attempt) {
		t.told = false
		t.tracer.Over(*s)
	}
	if len(flights) == len(*t.flying.Load()) && len(flights) == 0 {
		return
	}
	all := make([]*flight, 0, len(flights))
	for _, f := range flights {
		all = append(all, f)
	}
	t.flying.Store(&all)
}

func belongs(flights map[pod.Subject]*flight, start int) bool {
	for _, f := range flights {
		if f.start == start {
			return true
		}
	}
	return false
}

// Progress is a pod's last start and what is under way for the pod now, in no
// order.
type Progress struct {
	Start
	UnderWay []Step
}

func (t *timeline) now() Progress {
	p := Progress{Start: *t.start.Load()}
	for _, f := range *t.flying.Load() {
		p.UnderWay = append(p.UnderWay, f.step())
	}
	return p
}

func isReady(status *corev1.PodStatus) bool {
	for _, c := range status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Progress tells of every pod, in no order. Workers are not held up by it.
func (a *Agent) Progress() []Progress {
	a.mu.Lock()
	timelines := make([]*timeline, 0, len(a.workers))
	for _, w := range a.workers {
		if w.orphan == nil {
			timelines = append(timelines, w.timeline)
		}
	}
	a.mu.Unlock()
	all := make([]Progress, 0, len(timelines))
	for _, t := range timelines {
		all = append(all, t.now())
	}
	return all
}

// Untraced is the Tracer that does nothing.
type Untraced struct{}

// Begin implements Tracer.
func (Untraced) Begin(Start) {}

// Step implements Tracer.
func (Untraced) Step(Start, Step) {}

// Over implements Tracer.
func (Untraced) Over(Start) {}
