package agent_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// after is a pod that waits for others.
func after(name, conditions string) *corev1.Pod {
	return podNamed(name, func(p *corev1.Pod) {
		p.Annotations = map[string]string{pod.StartAfterAnnotation: conditions}
	})
}

func (r *rig) startedAt(name string) time.Time {
	st := r.pod(name).Status.ContainerStatuses[0].State.Running
	if st == nil {
		return time.Time{}
	}
	return st.StartedAt.Time
}

func TestPodsStartAfterOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(after("web", "pod/db=Ready"))
		r.pass(10 * time.Second)
		if st := r.pod("web").Status.ContainerStatuses[0].State.Waiting; st == nil || st.Reason != "WaitingToStart" ||
			st.Message != "waiting for pod/default/db=Ready (there is no such pod)" {
			t.Errorf("web waits: %+v", st)
		}
		began := time.Now()
		r.apply(podNamed("db", nil))
		r.untilReady("web")
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("it took %v after db was applied", took)
		}
		if got := r.events("web"); got["WaitingToStart"] == 0 || got["StartConditionsMet"] != 1 {
			t.Errorf("events = %v", got)
		}
	})
}

func TestPodsStartAfterTheHostIsReady(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Meet("time=synchronised", pod.Standing{Detail: "the kernel's clock is not"})
		r.apply(after("web", "time=synchronised"))
		r.pass(time.Minute)
		if got := r.startedAt("web"); !got.IsZero() {
			t.Errorf("it runs since %v", got)
		}
		r.restart() // it waits on
		r.world.Meet("time=synchronised", pod.Standing{Met: true})
		r.until("it runs", 3*time.Second, func() bool { return !r.startedAt("web").IsZero() })
	})
}

func TestPodsThatWaitForEachOtherAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		refuse := func(want string, objs ...agent.Object) {
			t.Helper()
			_, err := r.try(&poddv1.ApplyRequest{}, objs...)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, not %q", err, want)
			}
		}
		refuse("default/web -> default/web", after("web", "pod/web=Ready"))
		refuse("default/a -> default/b -> default/a", after("a", "pod/b=Ready"), after("b", "pod/a=Started"))
		r.apply(after("b", "pod/c=Ready"), after("c", "pod/d=Ready"))
		refuse("default/d -> default/b -> default/c -> default/d", after("d", "path/x,pod/b=Ready"))
		changed := r.pod("c").DeepCopy()
		changed.Annotations[pod.StartAfterAnnotation] = "pod/b=Ready"
		refuse("default/c -> default/b -> default/c", changed)
		r.apply(podNamed("d", nil)) // that is fine
		r.untilReady("b")
	})
}

func TestPodsEndBeforeWhatTheyStartAfter(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("stubborn", fake.Program{Stubborn: true})
		web := after("web", "pod/db=Ready")
		web.Spec.Containers[0].Image = "stubborn"
		r.apply(web, podNamed("db", nil))
		r.untilReady("web")
		began := time.Now()
		for _, name := range []string{"web", "db"} {
			r.delete(name, nil)
		}
		r.pass(20 * time.Second)
		if r.startedAt("db").IsZero() {
			t.Error("db ended before web")
		}
		r.untilGone("web")
		r.untilGone("db")
		if took := time.Since(began); took < 30*time.Second || took > 33*time.Second {
			t.Errorf("it took %v", took)
		}
		// Alone it waits for nobody.
		r.apply(after("web2", "pod/db2=Ready"), podNamed("db2", nil))
		r.untilReady("web2")
		began = time.Now()
		r.delete("db2", nil)
		r.untilGone("db2")
		if took := time.Since(began); took > time.Second {
			t.Errorf("alone it took %v", took)
		}
	})
}
