package agent_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/pod"
)

// TestAHungRuntimeFailsNoProbe: what cannot be run in a container says nothing
// of it. Once the runtime answers, a command that takes too long does.
func TestAHungRuntimeFailsNoProbe(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var hangs atomic.Bool
		r.working = func(context.Context) error {
			if hangs.Load() {
				return errors.New("containerd does not answer")
			}
			return nil
		}
		var slow atomic.Bool
		r.world.Store("probed", fake.Program{Exec: func(ctx context.Context, _ pod.ExecCommand) int {
			if hangs.Load() || slow.Load() {
				<-ctx.Done()
			}
			return 0
		}})
		r.apply(podNamed("web", func(p *corev1.Pod) {
			c := &p.Spec.Containers[0]
			c.Image = "probed"
			c.LivenessProbe = &corev1.Probe{PeriodSeconds: 2, FailureThreshold: 2, ProbeHandler: corev1.ProbeHandler{
				Exec: &corev1.ExecAction{Command: []string{"true"}},
			}}
			c.ReadinessProbe = c.LivenessProbe.DeepCopy()
		}))
		r.untilReady("web")
		hangs.Store(true)
		r.pass(5 * time.Minute)
		if got := r.pod("web").Status.ContainerStatuses[0].RestartCount; got != 0 || !r.isReady("web") {
			t.Errorf("while the runtime hung: %d restarts, ready: %v", got, r.isReady("web"))
		}
		hangs.Store(false)
		slow.Store(true)
		r.until("it is restarted", time.Minute, func() bool { return r.pod("web").Status.ContainerStatuses[0].RestartCount > 0 })
		slow.Store(false)
		r.untilReady("web")
	})
}
