package agent

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// Milestone is a point that the start of a pod comes to.
type Milestone string

// The milestones.
const (
	// Running: every app container was started.
	Running Milestone = "running"
	Ready   Milestone = "ready"
)

// rounds are what metrics are told of a worker's rounds. Its goroutine owns them.
type rounds struct {
	// began is when the last one did.
	began time.Time
	// submitted is when the pod came; zero for one that an earlier podd began.
	submitted time.Time
	reached   map[Milestone]bool
}

// look begins a round.
func (w *worker) look(deletion *pod.Deletion) Look {
	r, now := &w.rounds, time.Now()
	l := Look{Ending: deletion != nil}
	switch {
	case !r.began.IsZero():
		l.Since = now.Sub(r.began)
	case w.memo.Durable.StartedAt.IsZero() && w.orphan == nil:
		r.submitted, r.reached = now, map[Milestone]bool{}
	}
	r.began = now
	return l
}

// looksBack ends a round.
func (w *worker) looksBack(l Look) {
	r, now := &w.rounds, time.Now()
	l.Took = now.Sub(r.began)
	w.a.cfg.Meter.Looked(l)
	if r.submitted.IsZero() {
		return
	}
	for _, m := range []Milestone{Running, Ready} {
		if !r.reached[m] && reached(m, &w.status) {
			r.reached[m] = true
			w.a.cfg.Meter.Came(m, now.Sub(r.submitted))
		}
	}
}

func reached(m Milestone, st *corev1.PodStatus) bool {
	if m == Ready {
		for _, c := range st.Conditions {
			if c.Type == corev1.PodReady {
				return c.Status == corev1.ConditionTrue
			}
		}
		return false
	}
	for _, c := range st.ContainerStatuses {
		ended := c.State.Terminated
		if c.State.Running == nil && (ended == nil || ended.StartedAt.IsZero()) {
			return false
		}
	}
	return len(st.ContainerStatuses) > 0
}
