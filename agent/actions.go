package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// observeTime bounds one look at a pod.
const observeTime = 30 * time.Second

// deadlines are how long an action may take. One that takes longer fails and
// is tried again; waiting for it holds nobody else up. A pull waits for its turn
// as long as it has to, and is bounded from then on by the port.
var deadlines = map[pod.Kind]time.Duration{
	pod.PullImage:       7 * 24 * time.Hour,
	pod.RunHook:         7 * 24 * time.Hour, // the core ends it
	pod.CreateSandbox:   2 * time.Minute,
	pod.RemoveSandbox:   2 * time.Minute,
	pod.CreateContainer: 2 * time.Minute,
	pod.StartContainer:  2 * time.Minute,
	pod.SetupVolume:     2 * time.Minute,
}

const defaultDeadline = time.Minute

// probeSlack is what starting an exec may take beyond the probe's own timeout.
const probeSlack = 10 * time.Second

func deadline(a pod.Action) time.Duration {
	if a.Kind == pod.RunProbe {
		return a.Probe.Timeout + probeSlack
	}
	if d, ok := deadlines[a.Kind]; ok {
		return d
	}
	return defaultDeadline
}

// carryOut waits for the action's turn and runs it to its end. ctx ends when
// podd stops or the action is no longer wanted: that ends the wait, and the
// action itself if it may be cancelled.
func (a *Agent) carryOut(ctx context.Context, key pod.Key, f *flight) outcome {
	act := f.action
	turn := a.turns.of(act)
	if err := turn.take(ctx); err != nil {
		return outcome{Result: pod.Result{Action: act}, void: true}
	}
	defer turn.giveBack()
	run := ctx
	if !act.Kind.Cancelable() {
		run = context.WithoutCancel(ctx)
	}
	run, cancel := context.WithTimeout(run, deadline(act))
	defer cancel()
	r := pod.Result{Action: act, Started: time.Now()}
	f.began.Store(&r.Started)
	err := a.effect(run, key, act, &r)
	r.Finished = time.Now()
	r.Err = failureOf(err)
	void := err != nil && act.Kind.Cancelable() && ctx.Err() != nil
	if !void {
		a.cfg.Meter.Acted(key, r)
	}
	return outcome{Result: r, void: void}
}

// effect routes an action to its port, and notes in r what it brought.
func (a *Agent) effect(ctx context.Context, key pod.Key, act pod.Action, r *pod.Result) (err error) {
	c := &a.cfg
	switch act.Kind {
	case pod.CreateCgroup:
		return c.Cgroups.Create(ctx, *act.Cgroup)
	case pod.RemoveCgroup:
		return c.Cgroups.Remove(ctx, key.UID)
	case pod.SetupVolume:
		return c.Volumes.Setup(ctx, *act.Volume)
	case pod.RemoveVolumes:
		return c.Volumes.Remove(ctx, key.UID)
	case pod.SetupNetwork:
		return c.Network.Setup(ctx, *act.Network)
	case pod.RemoveNetwork:
		return c.Network.Remove(ctx, *act.Network)
	case pod.CreateSandbox:
		return c.Sandboxes.Create(ctx, *act.Sandbox)
	case pod.RemoveSandbox:
		return c.Sandboxes.Remove(ctx, key.UID, act.ID)
	case pod.PullImage:
		defer a.nudge()
		return a.pull(ctx, *act.Pull, r)
	case pod.CreateContainer:
		return c.Containers.Create(ctx, *act.Container)
	case pod.StartContainer:
		return c.Containers.Start(ctx, *act.Container)
	case pod.SignalContainer:
		return c.Containers.Signal(ctx, *act.Signal)
	case pod.ReapContainer:
		return c.Containers.Reap(ctx, act.ID)
	case pod.RemoveContainer:
		return c.Containers.Remove(ctx, act.ID)
	case pod.RunProbe:
		r.Probe, err = a.probe(ctx, act.Probe)
		return err
	case pod.RunHook:
		return a.hook(ctx, act.Hook)
	case pod.RemoveLogs:
		return c.Logs.Remove(ctx, key)
	}
	return fmt.Errorf("no way to carry out %s", act.Kind)
}

func (a *Agent) pull(ctx context.Context, cfg pod.PullConfig, r *pod.Result) error {
	got, err := a.cfg.Images.Pull(ctx, cfg)
	if err == nil {
		r.Pulled = &got
	}
	return err
}

// maxProbeOutput is the kubelet's.
const maxProbeOutput = 10 << 10

// probe runs an exec probe in the container and any other from the host.
func (a *Agent) probe(ctx context.Context, cfg *pod.ProbeConfig) (*pod.ProbeOutcome, error) {
	if cfg.Handler.Exec == nil {
		out, err := a.cfg.Prober.Probe(ctx, *cfg)
		if err != nil {
			return nil, err // it counts neither way
		}
		return &out, nil
	}
	return a.execProbe(ctx, cfg)
}

// execProbe: a command that runs out of time has failed, unless it is the
// runtime that hangs. That says nothing of the container, which runs on.
func (a *Agent) execProbe(ctx context.Context, cfg *pod.ProbeConfig) (*pod.ProbeOutcome, error) {
	timed, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	var out limited
	code, err := a.cfg.Execer.Exec(timed, cfg.ContainerID, pod.ExecCommand{
		Args: cfg.Handler.Exec.Command, Stdio: pod.Stdio{Stdout: &out, Stderr: &out},
	})
	switch {
	case errors.Is(timed.Err(), context.DeadlineExceeded):
		if err := a.cfg.Working(ctx); err != nil {
			return nil, err
		}
		return &pod.ProbeOutcome{Output: fmt.Sprintf("command timed out: %q timed out after %s",
			cfg.Handler.Exec.Command, cfg.Timeout)}, nil
	case err != nil:
		return nil, err
	}
	return &pod.ProbeOutcome{Healthy: code == 0, Output: out.String()}, nil
}

// limited keeps the beginning of what is written to it. exec writes both
// streams from two goroutines.
type limited struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p[:min(len(p), maxProbeOutput-l.buf.Len())])
	return len(p), nil
}

func (l *limited) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func failureOf(err error) *pod.Failure {
	if err == nil {
		return nil
	}
	var f *pod.Failure
	if errors.As(err, &f) {
		return f
	}
	return &pod.Failure{Kind: pod.Transient, Message: err.Error()}
}

// imageRefs are the images that a pod's containers start from.
func imageRefs(p *corev1.Pod) []string {
	var refs []string
	for _, c := range pod.Containers(p) {
		refs = append(refs, c.Image)
	}
	return refs
}
