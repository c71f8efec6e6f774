package agent

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// endedEvery is how often GoDown looks whether all has ended: pods tell of it by
// their status, and there is little time.
const endedEvery = 50 * time.Millisecond

// killSlack is how long, beyond the bound, the end of what was sent KILL may
// take.
const killSlack = 5 * time.Second

// GoDown ends all pods with the machine, in the reverse order of their start and
// the critical ones last, and returns once nothing of them runs any more, the
// policy's time is over, or ctx ends. From then on nothing is started, until
// StayUp. What the pods are to be does not change: the next podd starts them.
func (a *Agent) GoDown(ctx context.Context) {
	policy := a.settings.Load().Shutdown
	e := &pod.Ending{At: time.Now(), Policy: policy}
	if a.ending.CompareAndSwap(nil, e) {
		a.cfg.Log.Info("the machine goes down: pods are ended, and started again when it is up",
			zap.Int("pods", len(a.stillRun())), zap.Duration("at most", policy.Total), zap.Duration("of it for critical pods", policy.Critical))
		a.nodeHappened(ctx, "NodeShutdown", "The machine goes down: pods are ended, and started again when it is up")
		a.hint("")
	} else if begun := a.ending.Load(); begun != nil {
		e = begun
	}
	began := time.Now()
	limit := time.NewTimer(time.Until(e.At.Add(policy.Total + killSlack)))
	defer limit.Stop()
	for {
		left := a.stillRun()
		if len(left) == 0 {
			a.cfg.Log.Info("all pods have ended", zap.Duration("took", time.Since(began).Round(time.Millisecond)))
			return
		}
		select {
		case <-time.After(endedEvery):
		case <-ctx.Done():
			return
		case <-limit.C:
			a.cfg.Log.Error("some pods have not ended in time; the machine goes down all the same", zap.Strings("pods", left))
			return
		}
	}
}

// StayUp takes GoDown back: what was ended is started again.
func (a *Agent) StayUp(ctx context.Context) {
	if a.ending.Swap(nil) == nil {
		return
	}
	a.cfg.Log.Info("the machine stays up: pods are started again")
	a.nodeHappened(ctx, "NodeShutdownCancelled", "The machine stays up: pods are started again")
	a.hint("")
}

func (a *Agent) nodeHappened(ctx context.Context, reason, text string) {
	err := a.NodeEvent(ctx, pod.Event{Type: corev1.EventTypeNormal, Reason: reason, Message: text})
	if err != nil && !isStop(err) {
		a.cfg.Log.Warn("could not record an event", zap.String("event", text), zap.Error(err))
	}
}

// stillRun are the pods of which something runs, as far as their status tells.
func (a *Agent) stillRun() []string {
	var names []string
	for _, p := range a.Snapshot().Pods() {
		if !pod.Stopped(&p.Status) {
			names = append(names, fmt.Sprintf("%s/%s", p.Namespace, p.Name))
		}
	}
	return names
}

// turn is how a pod is to end with the machine; nil while that stays up.
func (a *Agent) turn(now time.Time, snap *Snapshot, p *corev1.Pod) *pod.Shutdown {
	e := a.ending.Load()
	if e == nil {
		return nil
	}
	all := make([]pod.Candidate, 0, len(snap.kinds[KindPod]))
	for _, entry := range snap.kinds[KindPod] {
		all = append(all, candidate(snap, e, entry.Pod()))
	}
	s := e.Turn(now, candidate(snap, e, p), all)
	return &s
}

func candidate(snap *Snapshot, e *pod.Ending, p *corev1.Pod) pod.Candidate {
	priority := priorityOf(snap, p)
	if p.Spec.Priority != nil {
		priority = *p.Spec.Priority
	}
	return pod.Candidate{Pod: p, Critical: e.Policy.Critical > 0 && pod.IsCritical(priority)}
}
