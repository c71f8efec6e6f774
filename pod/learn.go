package pod

import (
	"maps"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Reasons of exits, as a kubelet on containerd tells them.
const (
	reasonCompleted  = "Completed"
	reasonError      = "Error"
	reasonOOMKilled  = "OOMKilled"
	reasonStartError = "StartError"
	reasonUnknown    = "ContainerStatusUnknown"
)

// codeUnknown and codeStartError are the exit codes that go with them.
const (
	codeUnknown    = 137
	codeStartError = 128
)

// Of a container whose end nobody saw a kubelet tells apart whether it ran.
const (
	messageUnknown = "The container could not be located when the pod was terminated"
	messageLost    = "The container could not be located when the pod was deleted.  The container used to be Running"
)

// mendClock pulls what the memo says happened in the future back to now: the
// clock was set back, and no wait may grow by that.
func (d *decision) mendClock() {
	m := &d.m.Durable
	for key, r := range m.Retries {
		m.Retries[key] = Retry{r.Failures, earlier(r.At, d.now), r.Reason, r.Message}
	}
	for key, r := range d.m.Volatile.Done {
		d.m.Volatile.Done[key] = Retry{r.Failures, earlier(r.At, d.now), r.Reason, r.Message}
	}
	for ref, r := range m.Pulls {
		m.Pulls[ref] = Retry{r.Failures, earlier(r.At, d.now), r.Reason, r.Message}
	}
	m.Sandbox.BackOff.At = earlier(m.Sandbox.BackOff.At, d.now)
	m.Sandbox.NotBefore = earlier(m.Sandbox.NotBefore, d.now.Add(d.in.Node.BackOff.Max))
	if m.Gate != nil {
		m.Gate.Since = earlier(m.Gate.Since, d.now)
	}
	m.Turn = earlier(m.Turn, d.now)
	for _, c := range m.Containers {
		d.mendContainerClock(c)
	}
}

func (d *decision) mendContainerClock(c *ContainerMemo) {
	c.BackOff.At = earlier(c.BackOff.At, d.now)
	if c.Exit != nil && c.Exit.FinishedAt.After(d.now) {
		exit := *c.Exit
		exit.FinishedAt = d.now
		c.Exit = &exit
	}
	if s := c.Stop; s != nil {
		if back := s.At.Sub(d.now); back > 0 {
			s.At, s.KillAt = d.now, s.KillAt.Add(-back)
			s.HookedAt, s.TurnAt = earlier(s.HookedAt, d.now), earlier(s.TurnAt, d.now)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// adopt takes over what exists and is not remembered at all, as after the loss
// of the store.
func (d *decision) adopt() {
	m := &d.m.Durable
	if m.Sandbox == (SandboxMemo{}) {
		for _, s := range d.in.Seen.Sandboxes {
			m.Sandbox.Attempt = max(m.Sandbox.Attempt, s.Attempt)
		}
	}
	known := maps.Clone(m.Containers)
	for _, seen := range d.attempts() {
		if known[seen.Name] == nil { // attempts come in order: the last one stays
			m.Containers[seen.Name] = &ContainerMemo{
				Attempt: seen.Attempt, Stage: StageCreating, Sandbox: m.Sandbox.Attempt,
				Image: seen.Image, ImageID: seen.ImageID, Hash: imageHash(seen.Name, seen.Image),
				PostStarted: seen.State == Running, // it was, as far as anybody knows
			}
		}
	}
}

// learnContainers folds what is seen of the current attempts into the memo.
func (d *decision) learnContainers() {
	for _, name := range d.names() {
		c := d.container(name)
		if c.Stage == StageCreating || c.Stage == StageRunning {
			d.learnContainer(name, c, d.current(name, c))
		}
	}
}

func (d *decision) learnContainer(name string, c *ContainerMemo, seen *Container) {
	starting := slices.Contains(d.in.InFlight, SubjectContainer(name))
	if starting && c.Stage == StageCreating && seen != nil && seen.State != Created {
		// Seen before the start's own result was: that one then says nothing.
		d.event(corev1.EventTypeNormal, "Started", "Container started", name)
	}
	switch {
	case seen != nil && seen.State == Running:
		d.learnRunning(c, seen)
	case seen != nil && seen.State == Exited:
		d.ended(c, exitOf(c, seen, d.now))
	case c.Stage == StageRunning:
		d.ended(c, &Exit{
			Code: codeUnknown, Reason: reasonUnknown, Message: messageLost,
			StartedAt: c.StartedAt, FinishedAt: d.now,
		})
	case c.StartFailed:
		d.ended(c, &Exit{Code: codeStartError, Reason: reasonStartError, Message: c.Failed.Message, FinishedAt: d.now})
	case seen != nil && c.Stage == StageCreating && seen.SandboxID != "" && seen.SandboxID != d.sandboxID():
		c.Discard = true
	}
}

func (d *decision) learnRunning(c *ContainerMemo, seen *Container) {
	c.Stage, c.Failed, c.StartFailed, c.Discard = StageRunning, nil, false, false
	if c.StartedAt.IsZero() {
		c.StartedAt = seen.StartedAt
	}
	if c.StartedAt.IsZero() {
		c.StartedAt = d.now
	}
}

// ended notes how the current attempt ended.
func (d *decision) ended(c *ContainerMemo, exit *Exit) {
	exit.Attempt = c.Attempt
	if c.Stop != nil {
		exit.Again = c.Stop.Again
	}
	exit.FinishedAt = earlier(exit.FinishedAt, d.now)
	exit.HookFailed = c.PostStartFailed
	c.Stage, c.Exit = StageExited, exit
	c.Stop, c.Failed, c.StartFailed, c.Discard = nil, nil, false, false
	c.Started, c.Ready = false, false
	c.PostStarted, c.PostStartFailed = false, false
}

// exitOf tells an exit as a kubelet on containerd does.
func exitOf(c *ContainerMemo, seen *Container, now time.Time) *Exit {
	e := &Exit{
		Code: seen.ExitCode, Signal: seen.Signal, Reason: reasonError, Message: seen.Message,
		StartedAt: seen.StartedAt, FinishedAt: seen.FinishedAt,
	}
	if e.Code == 0 && e.Signal != 0 {
		e.Code = 128 + e.Signal
	}
	switch {
	case seen.OOMKilled:
		e.Reason = reasonOOMKilled
	case e.Code == 0:
		e.Reason = reasonCompleted
	}
	if e.StartedAt.IsZero() {
		e.StartedAt = c.StartedAt
	}
	if e.FinishedAt.IsZero() {
		e.FinishedAt = now
	}
	return e
}

// learnSandbox notes that the sandbox is up, or that it is lost.
func (d *decision) learnSandbox() {
	s := &d.m.Durable.Sandbox
	if s.Lost || d.goingDown() {
		return
	}
	now := d.sandboxSeen()
	up := now != nil && now.State == Running
	netUp := d.networkReady()
	switch {
	case s.Up && !up, s.NetworkUp && !netUp:
		d.loseSandbox("Pod sandbox changed, it will be killed and re-created.")
	case !s.Up && now != nil && now.State == Exited:
		d.loseSandbox("")
	}
	s.Up = s.Up || up
	s.NetworkUp = s.NetworkUp || netUp && !d.pod.Spec.HostNetwork
}

func (d *decision) loseSandbox(say string) {
	d.m.Durable.Sandbox.Lost = true
	if say != "" {
		d.event(corev1.EventTypeNormal, "SandboxChanged", say, "")
	}
}

// sandboxID is the current attempt's.
func (d *decision) sandboxID() string {
	return ID(d.pod.UID, SandboxName, d.m.Durable.Sandbox.Attempt)
}

// sandboxSeen is the current attempt, or nil.
func (d *decision) sandboxSeen() *Sandbox {
	id := d.sandboxID()
	if i := slices.IndexFunc(d.in.Seen.Sandboxes, func(s Sandbox) bool { return s.ID == id }); i >= 0 {
		return &d.in.Seen.Sandboxes[i]
	}
	return nil
}

// networkReady says whether the pod has the network it needs.
func (d *decision) networkReady() bool {
	if d.pod.Spec.HostNetwork {
		return true
	}
	n := d.in.Seen.Network
	return n != nil && n.Ready
}

// stopSignal is what asks a container to end.
func (c *ContainerMemo) stopSignal() syscall.Signal {
	if c.StopSignal == 0 {
		return syscall.SIGTERM
	}
	return syscall.Signal(c.StopSignal)
}
