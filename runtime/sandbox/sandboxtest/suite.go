// Package sandboxtest is what every kind of sandbox has to pass, so that one
// can stand in for another.
//
// The tests of package sandbox, and those of the agent for its fake, import it.
package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Sandboxes is the port under test.
type Sandboxes interface {
	Create(ctx context.Context, cfg pod.SandboxConfig) error
	Remove(ctx context.Context, uid types.UID, id string) error
}

// World is an implementation with what a test needs to see of it.
type World interface {
	Sandboxes
	// Seen are the sandboxes of a pod that exist.
	Seen(ctx context.Context, uid types.UID) ([]pod.Sandbox, error)
	// Kill ends a sandbox's process from outside, and returns once it ended.
	Kill(ctx context.Context, id string) error
	// Clear removes everything else that a pod may have left.
	Clear(uid types.UID)
}

// Run runs the suite.
func Run(t *testing.T, w World) {
	for name, test := range map[string]func(*testing.T, World, *corev1.Pod){
		"create":         create,
		"create twice":   createTwice,
		"host network":   hostNetwork,
		"remove nothing": removeNothing,
		"killed":         killed,
		"next attempt":   nextAttempt,
		"cancelled":      cancelled,
		"unsafe sysctl":  unsafeSysctl,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t.Name())
			t.Cleanup(func() { w.Clear(p.UID) })
			test(t, w, p)
		})
	}
}

func newPod(test string) *corev1.Pod {
	uid := types.UID(pod.ID(types.UID(test), "uid", 0)[:32])
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: uid}}
}

func config(p *corev1.Pod, attempt int) pod.SandboxConfig {
	return pod.SandboxConfig{
		Pod: p, ID: pod.ID(p.UID, pod.SandboxName, attempt), Attempt: attempt,
		Hostname: "web", ResolvConf: "nameserver 192.0.2.1\n", HostNetwork: p.Spec.HostNetwork, Seccomp: true,
	}
}

func mustCreate(t *testing.T, w World, cfg pod.SandboxConfig) {
	t.Helper()
	if err := w.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func mustRemove(t *testing.T, w World, cfg pod.SandboxConfig) {
	t.Helper()
	if err := w.Remove(t.Context(), cfg.Pod.UID, cfg.ID); err != nil {
		t.Fatal(err)
	}
}

// expect compares what is seen, "attempt state" each, in order of attempts.
func expect(t *testing.T, w World, p *corev1.Pod, want ...string) {
	t.Helper()
	seen, err := w.Seen(t.Context(), p.UID)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range seen {
		got[fmt.Sprintf("%d %s", s.Attempt, s.State)] = true
		if s.ID != pod.ID(p.UID, pod.SandboxName, s.Attempt) || s.CreatedAt.IsZero() {
			t.Errorf("seen %+v", s)
		}
	}
	for _, line := range want {
		if !got[line] {
			t.Errorf("no sandbox is %q: %v", line, seen)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

func create(t *testing.T, w World, p *corev1.Pod) {
	mustCreate(t, w, config(p, 0))
	expect(t, w, p, "0 Running")
	mustRemove(t, w, config(p, 0))
	expect(t, w, p)
}

func createTwice(t *testing.T, w World, p *corev1.Pod) {
	mustCreate(t, w, config(p, 0))
	mustCreate(t, w, config(p, 0))
	expect(t, w, p, "0 Running")
}

func hostNetwork(t *testing.T, w World, p *corev1.Pod) {
	p.Spec.HostNetwork = true
	mustCreate(t, w, config(p, 0))
	expect(t, w, p, "0 Running")
}

func removeNothing(t *testing.T, w World, p *corev1.Pod) {
	mustRemove(t, w, config(p, 0))
	mustRemove(t, w, config(p, 0))
}

// killed: an attempt that ended is over; creating it again does not revive it.
func killed(t *testing.T, w World, p *corev1.Pod) {
	cfg := config(p, 0)
	mustCreate(t, w, cfg)
	if err := w.Kill(t.Context(), cfg.ID); err != nil {
		t.Fatal(err)
	}
	expect(t, w, p, "0 Exited")
	mustCreate(t, w, cfg)
	expect(t, w, p, "0 Exited")
	mustRemove(t, w, cfg)
	expect(t, w, p)
}

// nextAttempt: what the pod shares is the next attempt's, whenever the one
// before is removed.
func nextAttempt(t *testing.T, w World, p *corev1.Pod) {
	mustCreate(t, w, config(p, 0))
	if err := w.Kill(t.Context(), config(p, 0).ID); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, w, config(p, 1))
	expect(t, w, p, "0 Exited", "1 Running")
	mustRemove(t, w, config(p, 0))
	expect(t, w, p, "1 Running")
	mustCreate(t, w, config(p, 1))
	expect(t, w, p, "1 Running")
}

// cancelled: a create that was cut off can be done again.
func cancelled(t *testing.T, w World, p *corev1.Pod) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Create(ctx, config(p, 0)); err == nil {
		t.Error("a cancelled create succeeded")
	}
	mustCreate(t, w, config(p, 0))
	expect(t, w, p, "0 Running")
}

func unsafeSysctl(t *testing.T, w World, p *corev1.Pod) {
	p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}}
	var failure *pod.Failure
	err := w.Create(t.Context(), config(p, 0))
	if !errors.As(err, &failure) || failure.Kind != pod.Permanent || failure.Reason != "SysctlForbidden" {
		t.Errorf("created with an unsafe sysctl: %v", err)
	}
	expect(t, w, p)
}
