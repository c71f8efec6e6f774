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

// TestPullsRemembered checks what stays of a pull, and that its failures are
// counted by image, not as those of an action.
func TestPullsRemembered(t *testing.T) {
	now := time.Unix(1000, 0)
	pull := Action{Kind: PullImage, Subject: SubjectImage("a"), Pull: &PullConfig{Ref: "a"}}
	m := Memo{}.clone()
	m.Volatile.Pulling["a"], m.Volatile.Pulls["a"] = []string{"web"}, PullMemo{Quarters: 2}
	m, _ = Apply(m, now, Result{Action: pull, Err: &Failure{Message: "no"}})
	m, _ = Apply(m, now, Result{Action: pull, Err: &Failure{Message: "no"}})
	if r := m.Durable.Pulls["a"]; r.Failures != 2 || r.Reason != "ErrImagePull" || len(m.Durable.Retries) > 0 {
		t.Errorf("after two failures: %s", dump(m.Durable))
	}
	if len(m.Volatile.Pulling)+len(m.Volatile.Pulls) > 0 {
		t.Errorf("it is under way for ever: %s", dump(m.Volatile))
	}
	m.Volatile.Pulling["a"] = []string{"web"}
	began := now.Add(-1999900 * time.Microsecond)
	m, events := Apply(m, now, Result{Action: pull, Started: began, Finished: now, Pulled: &Pulled{Took: 1500900 * time.Microsecond, Size: 7}})
	const text = `Successfully pulled image "a" in 1.5s (1.999s including waiting). Image size: 7 bytes.`
	if len(m.Durable.Pulls) > 0 || m.Volatile.Fresh["web"] != "a" || len(events) != 1 || events[0].Message != text {
		t.Errorf("after success: %s %v", dump(m), events)
	}
}

// TestFailuresInARow checks that a success ends a row of failures.
func TestFailuresInARow(t *testing.T) {
	a := Action{Kind: CreateCgroup, Subject: SubjectCgroup}
	var m Memo
	for i, err := range []*Failure{{}, {}, nil, {}} {
		m, _ = Apply(m, time.Unix(int64(i), 0), Result{Action: a, Err: err})
	}
	if r := m.Durable.Retries[retryKey(a)]; r.Failures != 1 {
		t.Errorf("%+v", r)
	}
}

// TestStartApplied checks what is noted of a start.
func TestStartApplied(t *testing.T) {
	spec := &corev1.Container{Name: "web", Image: "a"}
	start := Action{Kind: StartContainer, Container: &ContainerConfig{Container: spec, ID: "1234"}}
	one, two := time.Unix(1, 0), time.Unix(2, 0)
	apply := func(stage Stage, r Result) (*ContainerMemo, []Event) {
		m := Memo{}.clone()
		if stage != "none" {
			m.Durable.Containers["web"] = &ContainerMemo{Stage: stage}
		}
		m, events := Apply(m, two, r)
		return m.Durable.Containers["web"], events
	}
	c, _ := apply(StageCreating, Result{Action: start, Started: one, Finished: two})
	if c.Stage != StageRunning || !c.StartedAt.Equal(two) {
		t.Errorf("started: %s", dump(c))
	}
	if c, _ = apply(StageCreating, Result{Action: start, Started: one}); !c.StartedAt.Equal(one) {
		t.Errorf("ended at no time: %s", dump(c))
	}
	c, events := apply(StageCreating, Result{Action: start, Err: &Failure{Reason: "x", Message: "task 1234 is bad"}})
	if !c.StartFailed || *c.Failed != (Trouble{"RunContainerError", "task 1234 is bad"}) || events[0].Message != "Error: task web is bad" {
		t.Errorf("failed: %s %v", dump(c), events)
	}
	if c, _ = apply(StageRunning, Result{Action: start, Err: &Failure{}}); c.Failed != nil {
		t.Errorf("one that runs already: %s", dump(c))
	}
	if c, _ = apply("none", Result{Action: start}); c != nil {
		t.Errorf("of one that nobody knows something is noted: %s", dump(c))
	}
}

// TestSignalApplied checks that only a delivered signal counts.
func TestSignalApplied(t *testing.T) {
	for name, c := range map[string]struct {
		memo *ContainerMemo
		err  *Failure
		want bool
	}{
		"delivered":   {&ContainerMemo{Stage: StageRunning, Stop: &Stop{}}, nil, true},
		"failed":      {&ContainerMemo{Stage: StageRunning, Stop: &Stop{}}, &Failure{}, false},
		"stray":       {&ContainerMemo{Stage: StageRunning}, nil, false},
		"nobody's":    {nil, nil, false},
		"another one": {&ContainerMemo{Stage: StageRunning, Attempt: 1, Stop: &Stop{}}, nil, false},
	} {
		m := Memo{}.clone()
		if c.memo != nil {
			m.Durable.Containers["web"] = c.memo
		}
		m, _ = Apply(m, time.Unix(1, 0), Result{
			Action: Action{Kind: SignalContainer, Subject: SubjectContainer("web"), Signal: &SignalConfig{}}, Err: c.err,
		})
		got := m.Durable.Containers["web"]
		if termed := got != nil && got.Stop != nil && got.Stop.Termed; termed != c.want {
			t.Errorf("%s: %s", name, dump(got))
		}
	}
}

// TestRemovalApplied checks that only what was thrown away begins anew.
func TestRemovalApplied(t *testing.T) {
	for name, c := range map[string]struct {
		memo *ContainerMemo
		err  *Failure
		anew bool
	}{
		"thrown away": {&ContainerMemo{Stage: StageCreating, Discard: true, Hash: "h"}, nil, true},
		"failed":      {&ContainerMemo{Stage: StageCreating, Discard: true, Hash: "h"}, &Failure{}, false},
		"wanted":      {&ContainerMemo{Stage: StageCreating, Hash: "h"}, nil, false},
		"runs":        {&ContainerMemo{Stage: StageRunning, Discard: true, Hash: "h"}, nil, false},
		"another one": {&ContainerMemo{Stage: StageCreating, Discard: true, Hash: "h", Attempt: 1}, nil, false},
		"nobody's":    {nil, nil, false},
	} {
		m := Memo{}.clone()
		if c.memo != nil {
			m.Durable.Containers["web"] = c.memo
		}
		m, _ = Apply(m, time.Unix(1, 0), Result{Action: Action{Kind: RemoveContainer, Subject: SubjectContainer("web")}, Err: c.err})
		if got := m.Durable.Containers["web"]; got != nil && (got.Hash == "") != c.anew {
			t.Errorf("%s: %s", name, dump(got))
		}
	}
}

// TestVolumeToldAgain checks that a volume's trouble that comes back is told
// again.
func TestVolumeToldAgain(t *testing.T) {
	a := Action{Kind: SetupVolume, Subject: SubjectVolume("v"), Volume: &VolumeConfig{Volume: corev1.Volume{Name: "v"}}}
	m := Memo{}.clone()
	m.Durable.Told["volume/v"] = "something"
	if m, _ = Apply(m, time.Unix(1, 0), Result{Action: a}); len(m.Durable.Told) > 0 {
		t.Errorf("told: %v", m.Durable.Told)
	}
}

// TestHookApplied checks that only a hook of the attempt that runs counts.
func TestHookApplied(t *testing.T) {
	hook := func(kind HookKind) Action {
		return Action{Kind: RunHook, Attempt: 2, Hook: &HookConfig{Container: "web", Kind: kind}}
	}
	for name, c := range map[string]struct {
		memo *ContainerMemo
		want bool
	}{
		"runs":        {&ContainerMemo{Stage: StageRunning, Attempt: 2}, true},
		"another one": {&ContainerMemo{Stage: StageRunning, Attempt: 3}, false},
		"ended":       {&ContainerMemo{Stage: StageExited, Attempt: 2}, false},
		"nobody's":    {nil, false},
	} {
		m := Memo{}.clone()
		if c.memo != nil {
			m.Durable.Containers["web"] = c.memo
		}
		m, _ = Apply(m, time.Unix(1, 0), Result{Action: hook(PostStart)})
		got := m.Durable.Containers["web"]
		if done := got != nil && got.PostStarted; done != c.want {
			t.Errorf("%s: %s", name, dump(got))
		}
	}
	m := Memo{}.clone() // its end was given up meanwhile
	m.Durable.Containers["web"] = &ContainerMemo{Stage: StageRunning, Attempt: 2}
	if _, events := Apply(m, time.Unix(1, 0), Result{Action: hook(PreStop), Err: &Failure{}}); len(events) != 1 {
		t.Errorf("a preStop hook failed: %v", events)
	}
}
