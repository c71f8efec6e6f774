package fake

import (
	"context"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Sandboxes implements agent.Sandboxes.
type Sandboxes struct{ s *Session }

// Create implements agent.Sandboxes.
func (x Sandboxes) Create(ctx context.Context, cfg pod.SandboxConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.CreateSandbox, cfg.Pod.UID, "sandbox", func() error {
		r := w.of(cfg.Pod.UID)
		r.key = pod.Key{UID: cfg.Pod.UID, Namespace: cfg.Pod.Namespace, Name: cfg.Pod.Name}
		if !r.cgroup {
			w.violate("%s: sandbox before its cgroup", cfg.Pod.Name)
		}
		for _, v := range cfg.Pod.Spec.Volumes {
			if _, ready := r.volumes[v.Name]; !ready {
				w.violate("%s: sandbox before volume %s", cfg.Pod.Name, v.Name)
			}
		}
		if m := w.memo(cfg.Pod.UID); m != nil && m.Sandbox.Attempt != cfg.Attempt {
			w.violate("%s: sandbox %d is made, on disk it is %d", cfg.Pod.Name, cfg.Attempt, m.Sandbox.Attempt)
		}
		for id, s := range r.sandboxes {
			if id != cfg.ID && s.State == pod.Running {
				w.violate("%s: two sandboxes run", cfg.Pod.Name)
			}
		}
		if s := r.sandboxes[cfg.ID]; s != nil && s.State == pod.Running {
			return nil
		}
		r.sandboxes[cfg.ID] = &pod.Sandbox{ID: cfg.ID, Attempt: cfg.Attempt, State: pod.Running, CreatedAt: time.Now()}
		r.files, r.logs = true, true
		return nil
	})
}

// Remove implements agent.Sandboxes.
func (x Sandboxes) Remove(ctx context.Context, uid types.UID, id string) error {
	w := x.s.world
	return x.s.effect(ctx, pod.RemoveSandbox, uid, "sandbox", func() error {
		r := w.of(uid)
		for _, c := range r.containers {
			if c.SandboxID == id && c.State == pod.Running {
				w.violate("%s: the sandbox is removed while %s runs in it", r.key.Name, c.Name)
			}
		}
		delete(r.sandboxes, id)
		return nil
	})
}

// Containers implements agent.Containers and agent.Execer.
type Containers struct{ s *Session }

// find looks a container up. The lock is held.
func (w *World) find(id string) (*container, *remains) {
	for _, r := range w.pods {
		if c := r.containers[id]; c != nil {
			return c, r
		}
	}
	return nil, nil
}

// memo is what the store holds of a pod; nil if that is not checked, or it
// holds nothing.
func (w *World) memo(uid types.UID) *pod.Durable {
	if w.recalls == nil {
		return nil
	}
	return w.recalls(uid)
}

// Create implements agent.Containers.
func (x Containers) Create(ctx context.Context, cfg pod.ContainerConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.CreateContainer, cfg.Pod.UID, "container "+cfg.Container.Name, func() error {
		r := w.of(cfg.Pod.UID)
		w.checkAllocated(r, cfg)
		if s := r.sandboxes[cfg.SandboxID]; s == nil || s.State != pod.Running {
			return &pod.Failure{Kind: pod.NotFound, Message: "the sandbox does not run"}
		}
		if r.containers[cfg.ID] != nil {
			return nil
		}
		img := w.images[cfg.Container.Image]
		if img == nil {
			return &pod.Failure{Kind: pod.NotFound, Reason: "CreateContainerError", Message: "no such image"}
		}
		r.containers[cfg.ID] = &container{Container: pod.Container{
			ID: cfg.ID, Name: cfg.Container.Name, Attempt: cfg.Attempt, State: pod.Created, SandboxID: cfg.SandboxID,
			TargetID: cfg.TargetID, Image: cfg.Container.Image, ImageID: cfg.ImageID, CreatedAt: time.Now(),
		}, program: img.program(cfg.Attempt)}
		return nil
	})
}

// checkAllocated: an attempt is on disk before anything of it is made.
func (w *World) checkAllocated(r *remains, cfg pod.ContainerConfig) {
	m := w.memo(cfg.Pod.UID)
	if m == nil {
		return
	}
	c := m.Containers[cfg.Container.Name]
	if c == nil || c.Attempt != cfg.Attempt || c.Stage == pod.StageWaiting {
		w.violate("%s: attempt %d of %s is made, and not on disk", r.key.Name, cfg.Attempt, cfg.Container.Name)
	}
}

// Start implements agent.Containers.
func (x Containers) Start(ctx context.Context, cfg pod.ContainerConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.StartContainer, cfg.Pod.UID, "container "+cfg.Container.Name, func() error {
		r := w.of(cfg.Pod.UID)
		w.checkAllocated(r, cfg)
		c := r.containers[cfg.ID]
		switch {
		case c == nil:
			return &pod.Failure{Kind: pod.NotFound, Message: "no such container"}
		case c.State != pod.Created:
			return nil
		case c.program.StartError != "":
			return &pod.Failure{Kind: pod.Permanent, Reason: "RunContainerError", Message: c.program.StartError}
		}
		w.checkStart(r, c, cfg)
		r.started[c.ID]++
		w.begins(r, c, c.program)
		r.text(c.Name, c.Attempt).write(c.program.Output)
		return nil
	})
}

// checkStart holds a start against what is promised of every one.
func (w *World) checkStart(r *remains, c *container, cfg pod.ContainerConfig) {
	p := cfg.Pod
	if r.started[c.ID] > w.reboots {
		w.violate("%s: attempt %d of %s is started twice", p.Name, c.Attempt, c.Name)
	}
	if s := r.sandboxes[c.SandboxID]; s == nil || s.State != pod.Running {
		w.violate("%s: %s is started without its sandbox", p.Name, c.Name)
	}
	if !p.Spec.HostNetwork && (r.network == nil || !r.network.Ready) {
		w.violate("%s: %s is started without the network", p.Name, c.Name)
	}
	for _, o := range r.containers {
		if o.Name == c.Name && o.State == pod.Running {
			w.violate("%s: two attempts of %s run", p.Name, c.Name)
		}
	}
	w.checkTarget(r, c, cfg)
	if slices.ContainsFunc(p.Spec.EphemeralContainers, func(e corev1.EphemeralContainer) bool { return e.Name == c.Name }) {
		return // it waits for nobody
	}
	for _, init := range p.Spec.InitContainers {
		if init.RestartPolicy != nil {
			continue // a sidecar
		}
		if init.Name == c.Name {
			break
		}
		if r.through[init.Name] != c.SandboxID {
			w.violate("%s: %s is started before %s has succeeded", p.Name, c.Name, init.Name)
		}
	}
}

// checkTarget: a container starts with the target that it was made for.
func (w *World) checkTarget(r *remains, c *container, cfg pod.ContainerConfig) {
	if c.TargetID != cfg.TargetID {
		w.violate("%s: %s was made for the target %q, and is started for %q", r.key.Name, c.Name, c.TargetID, cfg.TargetID)
	}
}

// Signal implements agent.Containers.
func (x Containers) Signal(ctx context.Context, cfg pod.SignalConfig) error {
	w := x.s.world
	uid, name := w.ownerOf(cfg.ID)
	err := x.s.effect(ctx, pod.SignalContainer, uid, "container "+name, func() error {
		if c, r := w.find(cfg.ID); c != nil {
			m := w.memo(uid)
			// One that ended by itself meanwhile may hear a late signal.
			if m != nil && c.State == pod.Running && cfg.Signal != syscall.SIGKILL && (m.Containers[name] == nil || m.Containers[name].Stop == nil) {
				w.violate("%s: %s is ended, and that is not on disk", r.key.Name, name)
			}
			w.signal(r, c, cfg.Signal)
		}
		return nil
	})
	w.hint(uid)
	return err
}

func (w *World) ownerOf(id string) (types.UID, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, r := w.find(id); c != nil {
		return r.key.UID, c.Name
	}
	return "", id
}

// Reap implements agent.Containers.
func (x Containers) Reap(ctx context.Context, id string) error {
	w := x.s.world
	uid, name := w.ownerOf(id)
	return x.s.effect(ctx, pod.ReapContainer, uid, "container "+name, func() error {
		c, r := w.find(id)
		if c == nil || c.State != pod.Exited {
			return nil
		}
		if m := w.memo(uid); m != nil {
			if known := m.Containers[name]; known == nil || known.Attempt == c.Attempt && known.Exit == nil {
				w.violate("%s: the exit of %s is thrown away before it is on disk", r.key.Name, name)
			}
		}
		c.State, c.ExitCode, c.Signal, c.StartedAt, c.FinishedAt = pod.Created, 0, 0, time.Time{}, time.Time{}
		return nil
	})
}

// Remove implements agent.Containers.
func (x Containers) Remove(ctx context.Context, id string) error {
	w := x.s.world
	uid, name := w.ownerOf(id)
	return x.s.effect(ctx, pod.RemoveContainer, uid, "container "+name, func() error {
		c, r := w.find(id)
		if c == nil {
			return nil
		}
		if c.State == pod.Running {
			w.violate("%s: %s is removed while it runs", r.key.Name, name)
		}
		c.stopTimer()
		delete(r.containers, id)
		return nil
	})
}
