package pod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// world is a tiny simulated host for one pod: every effect is what it says it
// is, at once, unless a fault is set. It checks the contract of the actions as
// it goes; what it finds broken is in wrong.
type world struct {
	now time.Time
	in  Input // Seen and Memo are kept up to date
	// absent are images that cannot be pulled, invalid ones too.
	absent map[string]string
	// faults are the next failures by kind of action.
	faults map[Kind][]fault
	// always are kinds that go on failing.
	always map[Kind]fault
	// probes are outcomes by subject; healthy if there is none.
	probes map[Subject]string
	// stubborn containers do not end on TERM; exits is the code the others do
	// it with.
	stubborn map[string]bool
	exits    map[string]int
	// starts counts processes by container id.
	starts map[string]int
	// trace hears of every action and event, if it is not nil.
	trace func(text string)
	last  Output
	wrong []string
	// careful checks every promise at every decision.
	careful bool
	// flying are the actions under way: launched, and not yet landed.
	flying map[Subject]Action
	// lived is how much time passed, the jumps of the clock not counted.
	lived time.Duration
	// reboots lets a process start twice: nobody knows that it ran.
	reboots int
}

// fault is a failure before its effect, or after it.
type fault struct {
	reason, message string
	after           bool
}

func newWorld(in Input) *world {
	if in.Seen.Images == nil {
		in.Seen.Images = map[string]Image{}
	}
	in.Seen.Volumes = map[string]string{}
	return &world{
		now: in.Now, in: in, absent: map[string]string{}, faults: map[Kind][]fault{},
		always: map[Kind]fault{}, probes: map[Subject]string{}, stubborn: map[string]bool{}, exits: map[string]int{},
		starts: map[string]int{}, flying: map[Subject]Action{},
	}
}

// decide looks once, and keeps the memo.
func (w *world) decide() Output {
	w.in.Now, w.in.InFlight = w.now, sortedSubjects(w.flying)
	if w.careful {
		w.promises()
	}
	out := Decide(w.in)
	w.check(out)
	w.in.Memo, w.last = out.Memo, out
	if w.careful {
		w.reload()
		w.quiet(out)
	}
	w.tell(out.Events)
	return out
}

func (w *world) tell(events []Event) {
	for _, e := range events {
		if w.trace != nil {
			w.trace(strings.TrimSpace(fmt.Sprintf("event %s %s %s", e.Type, e.Reason, e.Container)) + ": " + e.Message)
		}
	}
}

// check holds an output against what is promised of every output.
func (w *world) check(out Output) {
	if !out.Wake.IsZero() && !out.Wake.After(w.now) {
		w.fail("wake %v is not after now %v", out.Wake, w.now)
	}
	taken := map[Subject]bool{}
	for _, a := range out.Do {
		if taken[a.Subject] {
			w.fail("two actions for %s", a.Subject)
		}
		taken[a.Subject] = true
	}
	before, after := w.in.Memo.Durable.Phase, out.Memo.Durable.Phase
	if before != after && !slices.Contains(phaseMoves(before), after) {
		w.fail("phase %s -> %s", before, after)
	}
	if out.Gone && (len(out.Do) > 0 || w.in.Deleted == nil) {
		w.fail("gone too early")
	}
}

func (w *world) fail(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// do carries one action out and applies its result.
func (w *world) do(a Action) {
	f, failed := w.fault(a.Kind)
	r := Result{Action: a, Started: w.now, Finished: w.now}
	if w.trace != nil {
		w.trace(describe(a) + map[bool]string{true: " (fails)"}[failed])
	}
	if !failed || f.after {
		r.Err, r.Probe = w.effect(a)
	}
	if failed && r.Err == nil {
		r.Err, r.Probe = &Failure{Kind: Transient, Reason: f.reason, Message: f.message}, nil
	}
	before := w.in.Memo
	text := ""
	if w.careful {
		text = dump(before)
	}
	memo, events := Apply(before, w.now, r)
	if w.careful && dump(before) != text {
		w.fail("apply changed its memo: %s", a.Subject)
	}
	w.in.Memo = memo
	w.tell(events)
}

func (w *world) fault(k Kind) (fault, bool) {
	if next := w.faults[k]; len(next) > 0 {
		w.faults[k] = next[1:]
		return next[0], true
	}
	f, ok := w.always[k]
	return f, ok
}

func (w *world) effect(a Action) (*Failure, *ProbeOutcome) {
	seen := &w.in.Seen
	switch a.Kind {
	case CreateCgroup:
		seen.Cgroup = true
	case RemoveCgroup:
		seen.Cgroup = false
	case SetupVolume:
		seen.Volumes = maps.Clone(seen.Volumes)
		seen.Volumes[a.Volume.Volume.Name] = a.Volume.Hash
		seen.Files = true
	case RemoveVolumes:
		seen.Volumes, seen.Files = map[string]string{}, false
	case RemoveLogs:
		seen.Logs = false
	case SetupNetwork:
		seen.Network = &Network{Ready: true, IPs: []string{fmt.Sprintf("10.88.0.%d", 2+a.Attempt)}}
	case RemoveNetwork:
		seen.Network = nil
	case CreateSandbox:
		w.createSandbox(a)
	case RemoveSandbox:
		seen.Sandboxes = slices.DeleteFunc(slices.Clone(seen.Sandboxes), func(s Sandbox) bool { return s.ID == a.ID })
	case PullImage:
		return w.pull(a.Pull.Ref), nil
	case RunHook:
		if c := w.find(a.Hook.ContainerID); c == nil || c.State != Running {
			return &Failure{Kind: NotFound, Message: "it does not run"}, nil
		}
	case RunProbe:
		text, bad := w.probes[a.Subject]
		return nil, &ProbeOutcome{Healthy: !bad, Output: text}
	default:
		return w.containerEffect(a), nil
	}
	return nil, nil
}

func (w *world) createSandbox(a Action) {
	seen := &w.in.Seen
	if !seen.Cgroup {
		w.fail("sandbox before cgroup")
	}
	seen.Sandboxes = slices.DeleteFunc(slices.Clone(seen.Sandboxes), func(s Sandbox) bool { return s.ID == a.Sandbox.ID })
	seen.Sandboxes = append(seen.Sandboxes, Sandbox{ID: a.Sandbox.ID, Attempt: a.Attempt, State: Running, CreatedAt: w.now})
	seen.Files, seen.Logs = true, true
}

func (w *world) pull(ref string) *Failure {
	if why, bad := w.absent[ref]; bad {
		f := &Failure{Kind: NotFound, Message: why}
		if strings.HasPrefix(why, "invalid") {
			f.Reason = "InvalidImageName"
		}
		return f
	}
	w.in.Seen.Images = maps.Clone(w.in.Seen.Images)
	w.in.Seen.Images[ref] = Image{ID: ref + "@sha256:0"}
	return nil
}

func (w *world) containerEffect(a Action) *Failure {
	seen := &w.in.Seen
	switch a.Kind {
	case CreateContainer:
		cfg := a.Container
		if w.find(cfg.ID) != nil {
			return nil
		}
		if _, ok := seen.Images[cfg.Container.Image]; !ok {
			return &Failure{Kind: NotFound, Message: "no such image"}
		}
		seen.Containers = append(slices.Clone(seen.Containers), Container{
			ID: cfg.ID, Name: cfg.Container.Name, Attempt: cfg.Attempt, State: Created, SandboxID: cfg.SandboxID,
			TargetID: cfg.TargetID, Image: cfg.Container.Image, ImageID: cfg.ImageID, CreatedAt: w.now,
		})
	case StartContainer:
		return w.start(a)
	case SignalContainer:
		w.signal(a.Signal)
	case ReapContainer:
		w.reap(a)
	case RemoveContainer:
		if c := w.find(a.ID); c != nil && c.State == Running {
			w.fail("%s removed while it runs", c.Name)
		}
		seen.Containers = slices.DeleteFunc(slices.Clone(seen.Containers), func(c Container) bool { return c.ID == a.ID })
	}
	return nil
}

func (w *world) start(a Action) *Failure {
	c := w.find(a.Container.ID)
	if c == nil {
		return &Failure{Kind: NotFound, Message: "no such container"}
	}
	if c.State == Running {
		return nil
	}
	if w.starts[c.ID]++; w.starts[c.ID] > 1+w.reboots {
		w.fail("attempt %d of %s started twice", c.Attempt, c.Name)
	}
	if len(w.in.Seen.Sandboxes) == 0 {
		w.fail("%s started without a sandbox", c.Name)
	}
	w.checkEphemeral(c)
	w.edit(c.ID, func(c *Container) { c.State, c.StartedAt = Running, w.now })
	return nil
}

// checkEphemeral: an ephemeral container has one attempt, and starts only beside
// the target that it was made for, unless that ended a moment ago.
func (w *world) checkEphemeral(c *Container) {
	if ephemeral(w.in.Pod, c.Name) != nil && c.Attempt != 0 {
		w.fail("%s is started again", c.Name)
	}
	if target, _ := (&decision{in: w.in, pod: w.in.Pod, m: w.in.Memo}).target(c.Name); target != "" && target != c.TargetID {
		w.fail("%s is started beside another attempt of its target than it was made for", c.Name)
	}
}

func (w *world) signal(s *SignalConfig) {
	c := w.find(s.ID)
	if c == nil || c.State != Running || s.Signal != syscall.SIGKILL && w.stubborn[c.Name] {
		return
	}
	code, ok := w.exits[c.Name]
	if s.Signal == syscall.SIGKILL || !ok {
		code = 128 + int(s.Signal)
	}
	w.exit(c.ID, code)
}

// exit ends a process.
func (w *world) exit(id string, code int) {
	w.edit(id, func(c *Container) {
		c.State, c.ExitCode, c.FinishedAt = Exited, code, w.now
		if code > 128 {
			c.Signal = code - 128
		}
	})
}

func (w *world) reap(a Action) {
	c := w.find(a.ID)
	if c == nil || c.State != Exited {
		return
	}
	memo := w.in.Memo.Durable.Containers[c.Name]
	known := memo != nil && (memo.Attempt != c.Attempt || memo.Exit != nil)
	if !known {
		w.fail("%s reaped before its exit was remembered", c.Name)
	}
	w.edit(a.ID, func(c *Container) { c.State, c.ExitCode, c.Signal, c.FinishedAt = Created, 0, 0, time.Time{} })
}

func (w *world) find(id string) *Container {
	for i := range w.in.Seen.Containers {
		if w.in.Seen.Containers[i].ID == id {
			return &w.in.Seen.Containers[i]
		}
	}
	return nil
}

func (w *world) edit(id string, change func(*Container)) {
	w.in.Seen.Containers = slices.Clone(w.in.Seen.Containers)
	if c := w.find(id); c != nil {
		change(c)
	}
}

// running is the running attempt of a container, or nil.
func (w *world) running(name string) *Container {
	for i := range w.in.Seen.Containers {
		if c := &w.in.Seen.Containers[i]; c.Name == name && c.State == Running {
			return c
		}
	}
	return nil
}

// reboot loses every process and what is under /run.
func (w *world) reboot() {
	w.reboots++
	seen := &w.in.Seen
	seen.Containers, seen.Sandboxes = slices.Clone(seen.Containers), slices.Clone(seen.Sandboxes)
	for i := range seen.Containers {
		c := &seen.Containers[i]
		c.State, c.ExitCode, c.Signal, c.StartedAt, c.FinishedAt = Created, 0, 0, time.Time{}, time.Time{}
	}
	for i := range seen.Sandboxes {
		seen.Sandboxes[i].State = Created
	}
	seen.Network, seen.Cgroup = nil, false
	w.restartPodd()
}

// restartPodd loses what is not on disk.
func (w *world) restartPodd() { w.in.Memo.Volatile = Volatile{} }

// settle decides and does, in the order of the list, until nothing is left to
// do at this moment but what is under way, and hangs. Too many rounds are a hot
// loop.
func (w *world) settle() {
	for round := 1; ; round++ {
		out := w.decide()
		free := slices.DeleteFunc(slices.Clone(out.Do), func(a Action) bool { _, busy := w.flying[a.Subject]; return busy })
		if len(free) == 0 || out.Gone {
			return
		}
		if round > 200 {
			w.fail("hot loop: %s", kinds(free))
			return
		}
		for _, a := range free {
			w.do(a)
		}
	}
}

// advance lets time pass, settling at each wake on the way.
func (w *world) advance(by time.Duration) {
	end := w.now.Add(by)
	for n := 0; ; n++ {
		w.settle()
		next := w.last.Wake
		if next.IsZero() || next.After(end) {
			break
		}
		if n > 100000 {
			w.fail("too many wakes")
			break
		}
		w.pass(next)
	}
	w.pass(end)
	w.settle()
}

// pass lets it be a later time.
func (w *world) pass(until time.Time) {
	w.lived += until.Sub(w.now)
	w.now = until
}

// describe is an action in a line.
func describe(a Action) string {
	text := fmt.Sprintf("%s %s", a.Kind, a.Subject)
	switch a.Kind {
	case CreateContainer, StartContainer, ReapContainer, RemoveContainer, CreateSandbox, RemoveSandbox:
		text += fmt.Sprintf("#%d", a.Attempt)
	case SignalContainer:
		text += fmt.Sprintf("#%d %v", a.Attempt, a.Signal.Signal)
	}
	return text
}

func kinds(all []Action) string {
	var words []string
	for _, a := range all {
		words = append(words, fmt.Sprintf("%s %s", a.Kind, a.Subject))
	}
	return strings.Join(words, ", ")
}
