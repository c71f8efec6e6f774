package fake

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Program is what a container's process does. The zero value runs until TERM
// and then ends at once.
type Program struct {
	// Runs is how long it runs by itself; 0 is for ever.
	Runs time.Duration
	// Code is its exit code when it ends by itself.
	Code int
	// Stubborn: it ignores TERM.
	Stubborn bool
	// Lingers is how long after TERM it ends, with TermCode.
	Lingers  time.Duration
	TermCode int
	// OOM: it is killed for its memory instead of ending by itself.
	OOM bool
	// StartError is why it can't be started.
	StartError string
	// Output is written to the log when it starts.
	Output string
	// Message is its termination message.
	Message string
	// Probe answers a network probe; nil is healthy. age is since its start. It
	// must not call the world.
	Probe func(kind pod.ProbeKind, age time.Duration) pod.ProbeOutcome
	// Exec runs a further process; nil does nothing and exits with 0.
	Exec func(ctx context.Context, cmd pod.ExecCommand) int
	// Attach is what one who attaches meets; nil is silence until the process
	// ends.
	Attach func(ctx context.Context, opts pod.AttachOptions) error
	// Serve answers a connection to a port; nil refuses it. It closes conn.
	Serve func(port uint16, conn net.Conn)
	// Files are its files by path, in place of tar archives.
	Files map[string]string
}

// Image is an image in a registry or on the host.
type Image struct {
	pod.Image
	// Programs are those of the first, second, ... attempt; the last one stands
	// for all after it.
	Programs []Program
}

func (i *Image) program(attempt int) Program {
	if len(i.Programs) == 0 {
		return Program{}
	}
	return i.Programs[min(attempt, len(i.Programs)-1)]
}

// Publish makes an image that can be pulled.
func (w *World) Publish(ref string, programs ...Program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.registry[ref] = &Image{Image: pod.Image{ID: ref + "@sha256:0"}, Programs: programs}
}

// Store makes an image that is here and can be pulled.
func (w *World) Store(ref string, programs ...Program) {
	w.Publish(ref, programs...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[ref] = w.registry[ref]
}

// container is one attempt, with its process.
type container struct {
	pod.Container
	program Program
	ends    *time.Timer
}

func (c *container) stopTimer() {
	if c.ends != nil {
		c.ends.Stop()
	}
}

// begins starts a process. The lock is held.
func (w *World) begins(r *remains, c *container, p Program) {
	c.program, c.State, c.StartedAt = p, pod.Running, time.Now()
	if p.Runs == 0 && !p.OOM {
		return
	}
	code, oom := p.Code, p.OOM
	w.endsIn(r, c, p.Runs, func() {
		if oom {
			c.OOMKilled, c.Signal, code = true, int(syscall.SIGKILL), 137
		}
		w.ended(r, c, code)
	})
}

// endsIn ends a process after a while, if it is still the same one. The lock is
// held.
func (w *World) endsIn(r *remains, c *container, d time.Duration, end func()) {
	c.stopTimer()
	began := c.StartedAt
	c.ends = time.AfterFunc(d, func() {
		w.mu.Lock()
		if c.State == pod.Running && c.StartedAt.Equal(began) {
			end()
		}
		w.mu.Unlock()
		w.hint(r.key.UID)
	})
}

// ended notes an exit. The lock is held.
func (w *World) ended(r *remains, c *container, code int) {
	c.stopTimer()
	c.State, c.ExitCode, c.FinishedAt, c.Message = pod.Exited, code, time.Now(), c.program.Message
	if code == 0 {
		r.through[c.Name] = c.SandboxID
	}
	if t := r.texts[textKey(c.Name, c.Attempt)]; t != nil {
		t.changed()
	}
}

// signal delivers a signal. The lock is held.
func (w *World) signal(r *remains, c *container, sig syscall.Signal) {
	p := c.program
	switch {
	case c.State != pod.Running || sig != syscall.SIGKILL && p.Stubborn:
	case sig == syscall.SIGKILL:
		c.Signal = int(sig)
		w.ended(r, c, 137)
	case p.Lingers > 0:
		w.endsIn(r, c, p.Lingers, func() { w.ended(r, c, p.TermCode) })
	default:
		w.ended(r, c, p.TermCode)
	}
}

// Exit ends the process of a running container with a code, and tells.
func (w *World) Exit(uid types.UID, name string, code int) error {
	w.mu.Lock()
	r := w.of(uid)
	for _, c := range r.containers {
		if c.Name == name && c.State == pod.Running {
			w.ended(r, c, code)
			w.mu.Unlock()
			w.hint(uid)
			return nil
		}
	}
	w.mu.Unlock()
	return fmt.Errorf("%s does not run", name)
}

// KillSandbox ends the pause process of a pod and tells. Its containers run on,
// as they do on a real host unless they share its process namespace.
func (w *World) KillSandbox(uid types.UID) {
	w.mu.Lock()
	r := w.of(uid)
	for _, s := range r.sandboxes {
		s.State = pod.Exited
	}
	w.mu.Unlock()
	w.hint(uid)
}

// Exec implements agent.Execer.
func (c Containers) Exec(ctx context.Context, containerID string, cmd pod.ExecCommand) (int, error) {
	w := c.s.world
	var p Program
	err := c.s.effect(ctx, Exec, "", "", func() error {
		found, _ := w.find(containerID)
		if found == nil || found.State != pod.Running {
			return &pod.Failure{Kind: pod.NotFound, Message: "the container does not run"}
		}
		p = found.program
		return nil
	})
	if err != nil || p.Exec == nil {
		return 0, err
	}
	if cmd.Stdout == nil {
		cmd.Stdout = io.Discard
	}
	if cmd.Stderr == nil {
		cmd.Stderr = io.Discard
	}
	code := p.Exec(ctx, cmd)
	return code, ctx.Err()
}

// Prober implements agent.Prober.
type Prober struct{ s *Session }

// Call implements agent.Caller: whoever is asked answers.
func (p Prober) Call(ctx context.Context, _ string, _ *corev1.HTTPGetAction) error {
	return p.s.effect(ctx, pod.RunHook, "", "", func() error { return nil })
}

// Probe implements agent.Prober.
func (p Prober) Probe(ctx context.Context, cfg pod.ProbeConfig) (out pod.ProbeOutcome, err error) {
	w := p.s.world
	err = p.s.effect(ctx, pod.RunProbe, "", "", func() error {
		c, _ := w.find(cfg.ContainerID)
		switch {
		case c == nil || c.State != pod.Running:
			out = pod.ProbeOutcome{Output: "connection refused"}
		case c.program.Probe == nil:
			out = pod.ProbeOutcome{Healthy: true}
		default:
			out = c.program.Probe(cfg.Kind, time.Since(c.StartedAt))
		}
		return nil
	})
	return out, err
}
