package pod

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestMendedClock checks that whatever a memo says happened in the future is
// pulled back to now: no wait grows because the clock was set back.
func TestMendedClock(t *testing.T) {
	now := time.Unix(1000, 0)
	future := now.Add(time.Hour)
	in := Input{Now: now, Pod: simplePod(), Memo: Memo{}.clone()}
	m := &in.Memo.Durable
	m.Retries["a"] = Retry{Failures: 2, At: future, Reason: "r", Message: "m"}
	m.Pulls["b"] = Retry{Failures: 3, At: future}
	in.Memo.Volatile.Done["c"] = Retry{Failures: 4, At: future}
	m.Sandbox = SandboxMemo{NotBefore: future, BackOff: BackOff{At: future}}
	m.Gate, m.Turn = &Gate{Since: future}, future
	m.Containers["web"] = &ContainerMemo{
		BackOff: BackOff{At: future}, Exit: &Exit{FinishedAt: future},
		Stop: &Stop{At: future, KillAt: future.Add(30 * time.Second), HookedAt: future, TurnAt: future},
	}
	m.Containers["calm"] = &ContainerMemo{Stop: &Stop{At: now, KillAt: now.Add(time.Second)}}
	d := newDecision(in)
	d.mendClock()
	want := Memo{}.clone()
	w := &want.Durable
	w.Retries["a"] = Retry{Failures: 2, At: now, Reason: "r", Message: "m"}
	w.Pulls["b"] = Retry{Failures: 3, At: now}
	want.Volatile.Done["c"] = Retry{Failures: 4, At: now}
	w.Sandbox = SandboxMemo{NotBefore: now.Add(DefaultBackOff.Max), BackOff: BackOff{At: now}}
	w.Gate, w.Turn = &Gate{Since: now}, now
	w.Containers["web"] = &ContainerMemo{
		BackOff: BackOff{At: now}, Exit: &Exit{FinishedAt: now},
		Stop: &Stop{At: now, KillAt: now.Add(30 * time.Second), HookedAt: now, TurnAt: now},
	}
	w.Containers["calm"] = &ContainerMemo{Stop: &Stop{At: now, KillAt: now.Add(time.Second)}}
	if diff := cmp.Diff(want, d.m); diff != "" {
		t.Error(diff)
	}
	if e := in.Memo.Durable.Containers["web"].Exit; !e.FinishedAt.Equal(future) {
		t.Error("the input was changed")
	}
}

// TestAdoptsWhatExists checks what is taken over when nothing is remembered.
func TestAdoptsWhatExists(t *testing.T) {
	in := Input{Now: time.Unix(1000, 0), Pod: simplePod()}
	in.Seen.Sandboxes = []Sandbox{{Attempt: 3}, {Attempt: 1}}
	in.Seen.Containers = []Container{
		{ID: "1", Name: "web", Attempt: 1, State: Exited, Image: "i"},
		{ID: "2", Name: "web", Attempt: 4, State: Running, Image: "i", ImageID: "j"},
		{ID: "3", Name: "side", Attempt: 2, State: Created},
	}
	d := newDecision(in)
	d.adopt()
	want := map[string]*ContainerMemo{
		"web":  {Attempt: 4, Stage: StageCreating, Sandbox: 3, Image: "i", ImageID: "j", Hash: imageHash("web", "i"), PostStarted: true},
		"side": {Attempt: 2, Stage: StageCreating, Sandbox: 3, Hash: imageHash("side", "")},
	}
	if diff := cmp.Diff(want, d.m.Durable.Containers); diff != "" || d.m.Durable.Sandbox.Attempt != 3 {
		t.Errorf("sandbox %d, %s", d.m.Durable.Sandbox.Attempt, diff)
	}
	in.Memo = Memo{}.clone()
	in.Memo.Durable.Sandbox.Attempt = 2
	in.Memo.Durable.Containers["web"] = &ContainerMemo{Attempt: 9}
	d = newDecision(in)
	d.adopt()
	if d.m.Durable.Sandbox.Attempt != 2 || d.m.Durable.Containers["web"].Attempt != 9 {
		t.Errorf("what is remembered was given up: %s", dump(d.m.Durable))
	}
}

// TestSeenRunning checks when a container that is seen to run began to.
func TestSeenRunning(t *testing.T) {
	now, seen, known := time.Unix(1000, 0), time.Unix(900, 0), time.Unix(800, 0)
	d := newDecision(Input{Now: now, Pod: simplePod()})
	for want, c := range map[time.Time]struct{ memo, seen time.Time }{known: {known, seen}, seen: {time.Time{}, seen}, now: {}} {
		m := &ContainerMemo{Stage: StageCreating, StartedAt: c.memo, StartFailed: true, Discard: true, Failed: &Trouble{}}
		d.learnRunning(m, &Container{State: Running, StartedAt: c.seen})
		if diff := cmp.Diff(&ContainerMemo{Stage: StageRunning, StartedAt: want}, m); diff != "" {
			t.Error(diff)
		}
	}
}

// TestEndForgetsTheAttempt checks that nothing of an attempt but its exit stays.
func TestEndForgetsTheAttempt(t *testing.T) {
	now := time.Unix(1000, 0)
	d := newDecision(Input{Now: now, Pod: simplePod()})
	c := &ContainerMemo{
		Attempt: 3, Stage: StageRunning, Stop: &Stop{Again: true}, Failed: &Trouble{}, StartFailed: true, Discard: true,
		Started: true, Ready: true, PostStarted: true, PostStartFailed: true,
	}
	d.ended(c, &Exit{Code: 1, FinishedAt: now.Add(time.Hour)})
	want := &ContainerMemo{
		Attempt: 3, Stage: StageExited, Exit: &Exit{Attempt: 3, Code: 1, FinishedAt: now, HookFailed: true, Again: true},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestExits(t *testing.T) {
	now, began, ended := time.Unix(1000, 0), time.Unix(900, 0), time.Unix(950, 0)
	for name, c := range map[string]struct {
		seen Container
		want Exit
	}{
		"good":     {Container{StartedAt: began, FinishedAt: ended}, Exit{Reason: "Completed", StartedAt: began, FinishedAt: ended}},
		"bad":      {Container{ExitCode: 3, StartedAt: began, FinishedAt: ended, Message: "m"}, Exit{Code: 3, Reason: "Error", Message: "m", StartedAt: began, FinishedAt: ended}},
		"signal":   {Container{ExitCode: 1, Signal: 9, StartedAt: began, FinishedAt: ended}, Exit{Code: 1, Signal: 9, Reason: "Error", StartedAt: began, FinishedAt: ended}},
		"oom":      {Container{ExitCode: 137, OOMKilled: true, StartedAt: began, FinishedAt: ended}, Exit{Code: 137, Reason: "OOMKilled", StartedAt: began, FinishedAt: ended}},
		"no times": {Container{}, Exit{Reason: "Completed", StartedAt: time.Unix(800, 0), FinishedAt: now}},
	} {
		if diff := cmp.Diff(&c.want, exitOf(&ContainerMemo{StartedAt: time.Unix(800, 0)}, &c.seen, now)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestStartSeenBeforeItIsTold checks that a start is told of once, whichever
// comes first: that the process is seen, or that the action ends.
func TestStartSeenBeforeItIsTold(t *testing.T) {
	for state, want := range map[State]int{Created: 0, Running: 1, Exited: 1} {
		for _, flying := range []bool{true, false} {
			in := Input{Now: time.Unix(1000, 0), Pod: simplePod(), Memo: Memo{}.clone()}
			in.Memo.Durable.Containers["web"] = &ContainerMemo{Stage: StageCreating}
			in.Seen.Containers = []Container{{ID: ID("u-1", "web", 0), Name: "web", State: state}}
			if flying {
				in.InFlight = []Subject{SubjectContainer("web")}
			}
			d := newDecision(in)
			d.learnContainers()
			if !flying {
				want = 0
			}
			if len(d.out.Events) != want {
				t.Errorf("%v, under way: %v: %v", state, flying, d.out.Events)
			}
		}
	}
	in := Input{Now: time.Unix(1000, 0), Pod: simplePod(), Memo: Memo{}.clone(), InFlight: []Subject{SubjectContainer("web")}}
	in.Memo.Durable.Containers["web"] = &ContainerMemo{Stage: StageRunning}
	in.Seen.Containers = []Container{{ID: ID("u-1", "web", 0), Name: "web", State: Running}}
	d := newDecision(in)
	d.learnContainers()
	if len(d.out.Events) > 0 {
		t.Errorf("one that runs: %v", d.out.Events)
	}
}

// TestSandboxLearned checks when a sandbox counts as lost, and when that is told.
func TestSandboxLearned(t *testing.T) {
	up := SandboxMemo{Up: true, NetworkUp: true}
	run := []Sandbox{{ID: ID("u-1", SandboxName, 0), State: Running}}
	dead := []Sandbox{{ID: ID("u-1", SandboxName, 0), State: Exited}}
	for name, c := range map[string]struct {
		memo    SandboxMemo
		seen    []Sandbox
		network *Network
		host    bool
		want    SandboxMemo
		events  int
	}{
		"new":            {SandboxMemo{}, nil, nil, false, SandboxMemo{}, 0},
		"up":             {SandboxMemo{}, run, &Network{Ready: true}, false, up, 0},
		"no network yet": {SandboxMemo{}, run, &Network{}, false, SandboxMemo{Up: true}, 0},
		"host network":   {SandboxMemo{}, run, nil, true, SandboxMemo{Up: true}, 0},
		"stays":          {up, run, &Network{Ready: true}, false, up, 0},
		"dies":           {up, dead, &Network{Ready: true}, false, SandboxMemo{Up: true, NetworkUp: true, Lost: true}, 1},
		"gone":           {up, nil, &Network{Ready: true}, false, SandboxMemo{Up: true, NetworkUp: true, Lost: true}, 1},
		"network gone":   {up, run, nil, false, SandboxMemo{Up: true, NetworkUp: true, Lost: true}, 1},
		"died young":     {SandboxMemo{}, dead, nil, false, SandboxMemo{Lost: true}, 0},
		"lost already":   {SandboxMemo{Up: true, Lost: true}, nil, nil, false, SandboxMemo{Up: true, Lost: true}, 0},
	} {
		in := Input{Now: time.Unix(1000, 0), Pod: simplePod(), Memo: Memo{}.clone()}
		in.Pod.Spec.HostNetwork = c.host
		in.Memo.Durable.Sandbox, in.Seen.Sandboxes, in.Seen.Network = c.memo, c.seen, c.network
		d := newDecision(in)
		d.learnSandbox()
		if diff := cmp.Diff(c.want, d.m.Durable.Sandbox); diff != "" || len(d.out.Events) != c.events {
			t.Errorf("%s: %s %v", name, diff, d.out.Events)
		}
	}
}

// TestReadyToStart checks what the first condition of a pod says.
func TestReadyToStart(t *testing.T) {
	mine := Sandbox{ID: ID("u-1", SandboxName, 0), State: Running}
	dead := Sandbox{ID: mine.ID, State: Exited}
	for want, seen := range map[string]Observed{
		"False no pod sandbox exists":         {},
		"False pod sandbox is not ready":      {Sandboxes: []Sandbox{dead}, Network: &Network{Ready: true}},
		"False pod sandbox has no IP address": {Sandboxes: []Sandbox{mine}},
		"True ":                               {Sandboxes: []Sandbox{mine}, Network: &Network{Ready: true}},
	} {
		c := newDecision(Input{Pod: simplePod(), Seen: seen}).readyToStart()
		if got := string(c.Status) + " " + c.Message; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	other := Observed{Sandboxes: []Sandbox{{ID: "other", State: Running}}, Network: &Network{Ready: true}}
	if c := newDecision(Input{Pod: simplePod(), Seen: other}).readyToStart(); c.Message != "pod sandbox is not ready" {
		t.Errorf("another's sandbox: %q", c.Message)
	}
}

func TestInitialized(t *testing.T) {
	always, yes, no := corev1.ContainerRestartPolicyAlways, true, false
	p := podOf([]corev1.Container{{Name: "side", RestartPolicy: &always}, {Name: "init"}}, corev1.Container{Name: "app"})
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		side, init corev1.ContainerStatus
		app        corev1.ContainerState
		message    string
	}{
		"neither":      {corev1.ContainerStatus{Ready: true}, corev1.ContainerStatus{}, corev1.ContainerState{}, "containers with incomplete status: [side init]"},
		"not started":  {corev1.ContainerStatus{Started: &no}, corev1.ContainerStatus{Ready: true}, corev1.ContainerState{}, "containers with incomplete status: [side]"},
		"both":         {corev1.ContainerStatus{Started: &yes}, corev1.ContainerStatus{Ready: true}, corev1.ContainerState{}, ""},
		"an app runs":  {corev1.ContainerStatus{Started: &no}, corev1.ContainerStatus{}, running, ""},
		"an app ended": {corev1.ContainerStatus{}, corev1.ContainerStatus{}, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}, ""},
	} {
		c.side.Name, c.init.Name = "side", "init"
		st := &corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{c.side, c.init},
			ContainerStatuses:     []corev1.ContainerStatus{{Name: "app", State: c.app}},
		}
		if got := newDecision(Input{Pod: p}).initialized(st); got.Message != c.message || (got.Status == corev1.ConditionTrue) != (c.message == "") {
			t.Errorf("%s: %s %q", name, got.Status, got.Message)
		}
	}
}

// TestFirstReadinessGate checks that a gate's condition counts wherever it is.
func TestFirstReadinessGate(t *testing.T) {
	p := podOf(nil)
	p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "a"}, {ConditionType: "b"}}
	known := []corev1.PodCondition{{Type: "a", Status: corev1.ConditionFalse}}
	const want = `the status of pod readiness gate "a" is not "True", but False, corresponding condition of pod readiness gate "b" does not exist.`
	if c := podReady(p, &corev1.PodStatus{}, known); c.Message != want {
		t.Errorf("%q", c.Message)
	}
}
