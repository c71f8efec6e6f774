package agent_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

func (r *rig) succeed(name string) {
	r.t.Helper()
	r.untilReady(name)
	if err := r.world.Exit(r.pod(name).UID, "main", 0); err != nil {
		r.t.Fatal(err)
	}
}

func job(name, ttl string) *corev1.Pod {
	return podNamed(name, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		if ttl != "" {
			p.Annotations = map[string]string{pod.FinishedTTLAnnotation: ttl}
		}
	})
}

func TestFinishedPodsGoInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		r.finished = pod.FinishedPolicy{TTL: time.Hour}
		r.start()
		r.apply(job("old", ""), job("quick", "0s"), job("long", "3h"), podNamed("web", nil))
		for _, name := range []string{"old", "quick", "long"} {
			r.succeed(name)
		}
		r.until("quick is gone", 5*time.Second, func() bool { return r.pod("quick") == nil })
		r.restart()
		r.pass(59 * time.Minute)
		if p := r.pod("old"); p == nil || p.Status.Phase != corev1.PodSucceeded {
			t.Errorf("old went before its time, or is %v", p)
		}
		r.pass(2 * time.Minute)
		if r.pod("old") != nil || r.pod("long") == nil || r.pod("web") == nil {
			t.Errorf("old %v, long %v, web %v", r.pod("old") != nil, r.pod("long") != nil, r.pod("web") != nil)
		}
		r.pass(2 * time.Hour)
		if r.pod("long") != nil {
			t.Error("long is still there")
		}
		if got := r.nodeEvents("FinishedPodCollected"); len(got) != 1 || got[0] != "Removed the finished pod default/long: it finished 3h0m0s ago" {
			t.Errorf("events of the last hour: %q", got)
		}
	})
}

func TestSoManyFinishedPodsStay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		r.finished = pod.FinishedPolicy{Max: 2}
		r.start()
		for _, name := range []string{"one", "two", "three"} {
			r.apply(job(name, ""))
			r.succeed(name)
			r.pass(time.Minute)
		}
		if r.pod("one") != nil || r.pod("two") == nil || r.pod("three") == nil {
			t.Errorf("one %v, two %v, three %v", r.pod("one") != nil, r.pod("two") != nil, r.pod("three") != nil)
		}
	})
}
