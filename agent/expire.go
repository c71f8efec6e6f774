package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// expire deletes finished pods as the policy wants it, and tells when the next
// one's time is up. Those of manifest files stay as long as their file: it would
// only bring them back.
func (a *Agent) expire(ctx context.Context, now time.Time) (next time.Time) {
	entries := map[string]*Entry{}
	var all []pod.FinishedPod
	for _, e := range a.Snapshot().List(KindPod) {
		p := e.Pod()
		if !ended(p.Status.Phase) || p.DeletionTimestamp != nil || filepath.IsAbs(e.Source) {
			continue
		}
		ttl, err := pod.FinishedTTLOf(p)
		if err != nil {
			ttl = nil // it was admitted by nobody
		}
		entries[string(p.UID)] = e
		all = append(all, pod.FinishedPod{UID: p.UID, At: endedAt(p), TTL: ttl})
	}
	gone, next := pod.Expire(now, a.settings.Load().Finished, all)
	for _, x := range gone {
		a.removeFinished(ctx, entries[string(x.UID)], x.Reason)
	}
	return next
}

func (a *Agent) removeFinished(ctx context.Context, e *Entry, why string) {
	_, err := a.Delete(ctx, e.Key, DeleteOptions{Source: e.Source, UID: string(e.Object.GetUID())})
	if err != nil {
		if !isStop(err) {
			a.cfg.Log.Warn("could not remove a finished pod; it is tried again", zap.Stringer("pod", e.Key), zap.Error(err))
		}
		return
	}
	a.cfg.Log.Info("removing a finished pod", zap.Stringer("pod", e.Key), zap.String("why", why))
	text := fmt.Sprintf("Removed the finished pod %s/%s: %s", e.Key.Namespace, e.Key.Name, why)
	if err := a.NodeEvent(ctx, pod.Event{Type: corev1.EventTypeNormal, Reason: "FinishedPodCollected", Message: text}); err != nil && !isStop(err) {
		a.cfg.Log.Warn("could not record an event", zap.String("event", text), zap.Error(err))
	}
}
