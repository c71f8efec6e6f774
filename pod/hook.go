package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// HookKind is when a lifecycle hook runs.
type HookKind string

// The kinds of hook.
const (
	PostStart HookKind = "postStart"
	PreStop   HookKind = "preStop"
)

// SubjectHook is the subject of one hook of one container.
func SubjectHook(container string, kind HookKind) Subject {
	return Subject("hook/" + container + "/" + string(kind))
}

// HookConfig is one run of a lifecycle hook, with everything resolved.
type HookConfig struct {
	Container   string
	ContainerID string
	Kind        HookKind
	// Handler's ports are numbers.
	Handler corev1.LifecycleHandler
	// Host is where to send an HTTP request.
	Host string
}

func lifecycleOf(spec *corev1.Container) corev1.Lifecycle {
	if spec == nil || spec.Lifecycle == nil {
		return corev1.Lifecycle{}
	}
	return *spec.Lifecycle
}

// wantHook runs a hook of the current attempt.
func (d *decision) wantHook(spec *corev1.Container, c *ContainerMemo, kind HookKind, handler *corev1.LifecycleHandler) {
	cfg := &HookConfig{
		Container: spec.Name, ContainerID: ID(d.pod.UID, spec.Name, c.Attempt), Kind: kind, Handler: *handler.DeepCopy(),
	}
	if ips := d.podIPs(); len(ips) > 0 {
		cfg.Host = ips[0]
	}
	if get := cfg.Handler.HTTPGet; get != nil {
		cfg.Host = orElse(get.Host, cfg.Host)
		if port, err := resolvePort(spec, get.Port); err == nil {
			get.Port = port // if not, the request tells what is wrong with it
		}
	}
	why := "it has started"
	if kind == PreStop {
		why = "it is to end"
	}
	d.want(Action{Kind: RunHook, Subject: SubjectHook(spec.Name, kind), Reason: why, Attempt: c.Attempt, Hook: cfg})
}

// postStart runs the hook of a container that has started, once, and ends a
// container whose hook failed.
func (d *decision) postStart(spec *corev1.Container, c *ContainerMemo) {
	hook := lifecycleOf(spec).PostStart
	switch {
	case hook == nil || c.PostStarted || c.Stop != nil:
	case c.PostStartFailed:
		d.stop(spec.Name, c, stopOrder{because: "FailedPostStartHook", grace: d.grace()})
	default:
		d.wantHook(spec, c, PostStart, hook)
	}
}

// postStarted says whether nothing of the start of a container that runs is
// still under way.
func postStarted(spec *corev1.Container, c *ContainerMemo) bool {
	return lifecycleOf(spec).PostStart == nil || c.PostStarted
}

// holdsUp says whether the containers after one have to wait for its postStart
// hook: a kubelet starts them one by one. One that waits for something else
// holds nobody up.
func (d *decision) holdsUp(spec *corev1.Container) bool {
	c := d.container(spec.Name)
	if postStarted(spec, c) || c.Stop != nil || c.Stage == StageExited {
		return false
	}
	_, waits := d.waiting[spec.Name]
	return !waits
}

// preStop runs the hook of a container that is to end, and says whether it has
// to be waited for. One that outlasts the grace period is given up; as after
// every hook, the container has minGrace at least to end by itself.
func (d *decision) preStop(name string, c *ContainerMemo) bool {
	spec, s := findContainer(d.pod, name), c.Stop
	hook := lifecycleOf(spec).PreStop
	if hook == nil || s.Termed || !s.HookedAt.IsZero() || !s.KillAt.After(s.At) {
		return false
	}
	if !s.KillAt.After(d.now) {
		s.hooked(d.now)
		return false
	}
	d.wantHook(spec, c, PreStop, hook)
	d.wake(s.KillAt)
	return true
}

// hooked notes that the preStop hook is over.
func (s *Stop) hooked(now time.Time) {
	s.HookedAt = now
	if least := now.Add(minGrace); s.KillAt.Before(least) {
		s.KillAt = least
	}
}

// applyHook notes how a hook went. What went wrong may hold secrets: it is in
// podd's log, not in the event, as with a kubelet.
func applyHook(m *Memo, now time.Time, r Result) []Event {
	h := r.Action.Hook
	c := m.Durable.Containers[h.Container]
	if c == nil || c.Attempt != r.Action.Attempt || c.Stage != StageRunning {
		return nil
	}
	switch h.Kind {
	case PostStart:
		c.PostStarted, c.PostStartFailed = r.Err == nil, r.Err != nil
		if r.Err != nil {
			return []Event{warning("FailedPostStartHook", "PostStartHook failed", h.Container)}
		}
	case PreStop:
		if c.Stop != nil {
			c.Stop.hooked(now)
		}
		if r.Err != nil {
			return []Event{warning("FailedPreStopHook", "PreStopHook failed", h.Container)}
		}
	}
	return nil
}
