package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/pod"
)

var shutdownPolicy = pod.ShutdownPolicy{Total: 90 * time.Second, Critical: 30 * time.Second}

// goDown ends the pods with the machine, in the background.
func (r *rig) goDown() (done chan struct{}) {
	done = make(chan struct{})
	a := r.life.agent
	go func() { defer close(done); a.GoDown(r.t.Context()) }()
	return done
}

// ends are the pods' names in the order of their ends.
func (r *rig) ends() []string {
	r.t.Helper()
	pods := r.life.agent.Snapshot().Pods()
	slices.SortStableFunc(pods, func(a, b *corev1.Pod) int { return endOf(a).Compare(endOf(b)) })
	var names []string
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return names
}

func endOf(p *corev1.Pod) time.Time {
	if t := p.Status.ContainerStatuses[0].State.Terminated; t != nil {
		return t.FinishedAt.Time
	}
	return time.Time{}
}

// TestPodsEndWithTheMachineAndComeBack in the reverse order of their start, the
// critical one last, and no later than needed.
func TestPodsEndWithTheMachineAndComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.reconfigure = func(c *agent.Config) { c.Settings.Shutdown = shutdownPolicy }
		r.restart()
		r.world.Store("lingers", fake.Program{Lingers: 5 * time.Second, TermCode: 143})
		lingering := func(after, class string) func(*corev1.Pod) {
			return func(p *corev1.Pod) {
				p.Spec.Containers[0].Image = "lingers"
				p.Spec.PriorityClassName = class
				if after != "" {
					p.Annotations = map[string]string{pod.StartAfterAnnotation: "pod/" + after + "=Ready"}
				}
			}
		}
		r.apply(podNamed("a-dns", lingering("", "system-node-critical")), podNamed("b-db", lingering("", "")), podNamed("c-web", lingering("b-db", "")))
		for _, name := range []string{"a-dns", "b-db", "c-web"} {
			r.untilReady(name)
		}
		uid := r.pod("c-web").UID
		began := time.Now()
		done := r.goDown()
		<-done
		if took := time.Since(began); took < 15*time.Second || took > 17*time.Second {
			t.Errorf("three times 5 s took %s", took)
		}
		if got := strings.Join(r.ends(), " "); got != "c-web b-db a-dns" {
			t.Errorf("they ended as %s", got)
		}
		web := r.pod("c-web")
		if web.Status.Phase != corev1.PodRunning || web.Status.Reason != "Terminated" {
			t.Errorf("the status meanwhile: %+v", web.Status)
		}
		r.apply(podNamed("late", nil))
		r.pass(time.Minute)
		if late := r.pod("late"); late.Status.Phase != corev1.PodPending || late.Status.ContainerStatuses[0].State.Waiting.Reason != "NodeShutdown" {
			t.Errorf("what came late: %+v", late.Status)
		}
		r.stop()
		r.world.Reboot()
		r.start()
		for _, name := range []string{"a-dns", "b-db", "c-web", "late"} {
			r.untilReady(name)
		}
		web = r.pod("c-web")
		if web.UID != uid || web.Status.ContainerStatuses[0].RestartCount != 1 || web.Status.Reason != "" || len(web.Status.ContainerStatuses[0].LastTerminationState.Terminated.ContainerID) == 0 {
			t.Errorf("after the boot: %+v", web.Status)
		}
	})
}

// TestTheMachineDoesNotWaitForEver: what ignores TERM, and what waits for it, is
// killed in time.
func TestTheMachineDoesNotWaitForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.reconfigure = func(c *agent.Config) { c.Settings.Shutdown = shutdownPolicy }
		r.restart()
		r.world.Store("stubborn", fake.Program{Stubborn: true})
		stubborn := func(class string) func(*corev1.Pod) {
			return func(p *corev1.Pod) {
				grace := int64(600)
				p.Spec.TerminationGracePeriodSeconds = &grace
				p.Spec.Containers[0].Image = "stubborn"
				p.Spec.PriorityClassName = class
			}
		}
		r.apply(podNamed("dns", stubborn("system-cluster-critical")), podNamed("web", stubborn("")))
		r.untilReady("dns")
		r.untilReady("web")
		began := time.Now()
		<-r.goDown()
		if took := time.Since(began); took < 90*time.Second || took > 92*time.Second {
			t.Errorf("it took %s", took)
		}
		if between := endOf(r.pod("dns")).Sub(endOf(r.pod("web"))); between < 29*time.Second || between > 31*time.Second {
			t.Errorf("the critical one ended %s after the other one", between)
		}
	})
}

// TestAShutdownIsTakenBack: what was ended is started again.
func TestAShutdownIsTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.reconfigure = func(c *agent.Config) { c.Settings.Shutdown = shutdownPolicy }
		r.restart()
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		<-r.goDown()
		r.life.agent.StayUp(t.Context())
		r.untilReady("web")
		if got := r.pod("web").Status; got.ContainerStatuses[0].RestartCount != 1 || got.Reason != "" {
			t.Errorf("%+v", got)
		}
	})
}
