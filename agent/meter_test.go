package agent_test

import (
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/pod"
)

// tally is a Meter that counts.
type tally struct {
	mu            sync.Mutex
	acted         map[pod.Kind]int
	healthy, sick int
	looks, last   int
	longest       time.Duration
	left          map[string]int
	came          map[agent.Milestone][]time.Duration
}

func (m *tally) Acted(_ pod.Key, r pod.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acted[r.Action.Kind]++
	switch {
	case r.Probe == nil:
	case r.Probe.Healthy:
		m.healthy++
	default:
		m.sick++
	}
}

func (m *tally) Looked(l agent.Look) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	m.longest = max(m.longest, l.Since)
	if l.Ending {
		m.last++
	}
}

func (m *tally) Came(to agent.Milestone, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.came[to] = append(m.came[to], took)
}

func (m *tally) Left(key pod.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left[key.Name]++
}

func TestMetricsAreToldOfEverything(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("sick", fake.Program{Probe: func(_ pod.ProbeKind, age time.Duration) pod.ProbeOutcome {
			return pod.ProbeOutcome{Healthy: age < 5*time.Second, Output: "sick"}
		}})
		r.world.Store("init", fake.Program{Runs: time.Second})
		r.apply(podNamed("web", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "init"}}
			p.Spec.Containers[0].Image = "sick"
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
				ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}, PeriodSeconds: 1,
			}
		}))
		r.untilReady("web")
		r.pass(2 * time.Minute)
		r.delete("web", nil)
		r.untilGone("web")
		r.pass(time.Second)

		m := r.meter
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.acted[pod.CreateSandbox] != 1 || m.acted[pod.StartContainer] != 2 || m.acted[pod.RunProbe] != m.healthy+m.sick {
			t.Errorf("actions: %v", m.acted)
		}
		if m.healthy < 4 || m.healthy > 6 || m.sick < 110 {
			t.Errorf("probes: %d healthy, %d not", m.healthy, m.sick)
		}
		if m.looks < 120 || m.last == 0 || m.longest > 31*time.Second {
			t.Errorf("%d looks, %d at the end, at most %s apart", m.looks, m.last, m.longest)
		}
		for to, took := range m.came {
			if len(took) != 1 || took[0] < time.Second || took[0] > 10*time.Second {
				t.Errorf("%s after %v", to, took)
			}
		}
		if len(m.came) != 2 || m.came[agent.Running][0] > m.came[agent.Ready][0] {
			t.Errorf("the start came to %v", m.came)
		}
		if m.left["web"] != 1 {
			t.Errorf("left: %v", m.left)
		}
		for name, q := range r.life.agent.Load().Actions {
			if q != (agent.Queue{}) {
				t.Errorf("%s: %+v with nothing to do", name, q)
			}
		}
	})
}

// TestRestartsAreCountedByReason, also by the next podd, before it has looked
// at anything.
func TestRestartsAreCountedByReason(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("crash", fake.Program{Runs: time.Second, Code: 1})
		r.apply(podNamed("loop", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "crash" }))
		r.pass(10 * time.Minute)
		count := func() (int, int32) {
			e := r.life.agent.Snapshot().List(agent.KindPod)[0]
			return e.Restarts["main"]["Error"], e.Pod().Status.ContainerStatuses[0].RestartCount
		}
		by, all := count()
		if by != int(all) || all < 5 {
			t.Errorf("%d restarts for errors, %d in all", by, all)
		}
		r.stop()
		r.start()
		if again, all := count(); again != by || again != int(all) {
			t.Errorf("%d restarts for errors after podd's restart, before it %d", again, by)
		}
		r.delete("loop", nil)
		r.untilGone("loop")
	})
}
