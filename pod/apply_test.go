package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestLateResults checks that the result of an action on an attempt that is
// over says nothing about the current one.
func TestLateResults(t *testing.T) {
	now := time.Unix(1000, 0)
	spec := &corev1.Container{Name: "web", Image: "a"}
	current := func() Memo {
		m := Memo{}.clone()
		m.Durable.Containers["web"] = &ContainerMemo{Attempt: 2, Stage: StageCreating, Hash: specHash(spec), Stop: &Stop{}}
		m.Volatile.Probes[SubjectProbe("web", Liveness)] = ProbeMemo{ID: "new"}
		return m
	}
	bad := &Failure{Message: "no"}
	for name, r := range map[string]Result{
		"start":  {Action: Action{Kind: StartContainer, Container: &ContainerConfig{Container: spec, Attempt: 1}, Attempt: 1}},
		"create": {Action: Action{Kind: CreateContainer, Container: &ContainerConfig{Container: spec, Attempt: 1}, Attempt: 1}, Err: bad},
		"signal": {Action: Action{Kind: SignalContainer, Subject: SubjectContainer("web"), Signal: &SignalConfig{}, Attempt: 1}},
		"remove": {Action: Action{Kind: RemoveContainer, Subject: SubjectContainer("web"), Attempt: 1}},
		"probe": {Action: Action{Kind: RunProbe, Subject: SubjectProbe("web", Liveness),
			Probe: &ProbeConfig{ContainerID: "old", Kind: Liveness}}, Probe: &ProbeOutcome{}},
	} {
		before := current()
		after, events := Apply(current(), now, r)
		if got, want := dump(after.Durable.Containers), dump(before.Durable.Containers); got != want || len(events) > 0 {
			t.Errorf("%s: %s, want %s; %v", name, got, want, events)
		}
		if got, want := dump(after.Volatile.Probes), dump(before.Volatile.Probes); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestCreatedFromOldSpec checks that what was created from a spec that changed
// meanwhile is thrown away.
func TestCreatedFromOldSpec(t *testing.T) {
	m := Memo{}.clone()
	m.Durable.Containers["web"] = &ContainerMemo{Stage: StageCreating, Hash: imageHash("web", "new")}
	old := &ContainerConfig{Container: &corev1.Container{Name: "web", Image: "old"}}
	m, _ = Apply(m, time.Unix(1, 0), Result{Action: Action{Kind: CreateContainer, Container: old}})
	if !m.Durable.Containers["web"].Discard {
		t.Error("it is kept")
	}
}

// TestNoEffectNoHotLoop checks that an action that succeeds and changes nothing
// is not wanted again at once.
func TestNoEffectNoHotLoop(t *testing.T) {
	in := Input{Now: time.Unix(1000, 0), Pod: simplePod()}
	for range 20 {
		out := Decide(in)
		in.Memo = out.Memo
		if len(out.Do) == 0 {
			in.Now = in.Now.Add(-time.Hour) // and the clock is set back
			if wait := Decide(in).Wake.Sub(in.Now); wait <= 0 || wait > time.Minute {
				t.Fatalf("it wakes after %v", wait)
			}
			return
		}
		for _, a := range out.Do {
			in.Memo, _ = Apply(in.Memo, in.Now, Result{Action: a})
		}
	}
	t.Fatal("it never waits")
}

// TestExitBySignalOnly checks that an exit that tells only its signal has a
// code as well.
func TestExitBySignalOnly(t *testing.T) {
	e := exitOf(&ContainerMemo{}, &Container{Signal: 9}, time.Unix(1, 0))
	if e.Code != 137 || e.Reason != reasonError {
		t.Errorf("%+v", e)
	}
}

// TestCreatedInOldSandbox checks that what was created for a sandbox that is no
// more is thrown away.
func TestCreatedInOldSandbox(t *testing.T) {
	w := newWorld(Input{Now: time.Unix(1000, 0), Pod: simplePod()})
	w.settleUntil(StageCreating)
	w.in.Seen.Containers = []Container{{ID: ID("u-1", "web", 0), Name: "web", State: Created, SandboxID: "old"}}
	out := w.decide()
	if len(out.Do) != 1 || out.Do[0].Kind != RemoveContainer {
		t.Errorf("it wants %s", kinds(out.Do))
	}
	w.settle()
	if c := w.running("web"); c == nil || c.Attempt != 0 {
		t.Errorf("then runs %+v", c)
	}
}

// TestStraySandbox checks that a sandbox that appears late is removed.
func TestStraySandbox(t *testing.T) {
	w := newWorld(Input{Now: time.Unix(1000, 0), Pod: simplePod()})
	w.settle()
	w.in.Seen.Sandboxes = append(w.in.Seen.Sandboxes, Sandbox{ID: "stray", Attempt: 7, State: Running})
	w.settle()
	if n := len(w.in.Seen.Sandboxes); n != 1 || w.running("web") == nil {
		t.Errorf("%d sandboxes", n)
	}
}

// TestStrayAttempt checks that an attempt that runs against all expectation is
// killed and removed, and the current one left alone.
func TestStrayAttempt(t *testing.T) {
	w := newWorld(Input{Now: time.Unix(1000, 0), Pod: simplePod()})
	w.settle()
	w.exit(w.running("web").ID, 1)
	w.settle()
	w.in.Seen.Containers = append(w.in.Seen.Containers, Container{ID: ID("u-1", "web", 0), Name: "web", State: Running})
	w.advance(time.Minute)
	if all := w.in.Seen.Containers; len(all) != 1 || all[0].Attempt != 1 {
		t.Errorf("there are %+v", all)
	}
	for _, text := range w.wrong {
		t.Error(text)
	}
}

// settleUntil decides and does until the container web is at a stage.
func (w *world) settleUntil(s Stage) {
	for range 10 {
		out := w.decide()
		if c := w.in.Memo.Durable.Containers["web"]; c != nil && c.Stage == s {
			return
		}
		for _, a := range out.Do {
			w.do(a)
		}
	}
}

// TestNothingTakenFromUnderAnAction checks that a pod is not taken apart around
// what is under way, and not gone before it ended.
func TestNothingTakenFromUnderAnAction(t *testing.T) {
	in := Input{Now: time.Unix(1000, 0), Pod: simplePod(), Deleted: &Deletion{At: time.Unix(1000, 0)}}
	for subject, want := range map[Subject]string{
		"":                        "RemoveVolumes files, RemoveCgroup cgroup",
		SubjectImage("a"):         "RemoveVolumes files, RemoveCgroup cgroup",
		SubjectVolume("v"):        "RemoveCgroup cgroup",
		SubjectSandbox:            "",
		SubjectNetwork:            "",
		SubjectContainer("web"):   "",
		SubjectContainer("other"): "",
	} {
		in.InFlight = nil
		if subject != "" {
			in.InFlight = []Subject{subject}
		}
		in.Seen = Observed{Cgroup: true, Files: true}
		if got := kinds(Decide(in).Do); got != want {
			t.Errorf("with %s in flight it wants %s, want %s", subject, got, want)
		}
		in.Seen = Observed{}
		if gone := Decide(in).Gone; gone != (subject == "") {
			t.Errorf("with %s in flight it is gone: %v", subject, gone)
		}
	}
}
