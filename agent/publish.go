package agent

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

func podKey(key pod.Key) store.Key {
	return store.Key{Kind: KindPod, Namespace: key.Namespace, Name: key.Name}
}

// publish shows a pod's status, if it changed, and what happened to it. Whenever
// restarts are more, the status has changed.
func (a *Agent) publish(ctx context.Context, key pod.Key, status corev1.PodStatus, restarts map[string]map[string]int, events []pod.Event) {
	e := a.Snapshot().Get(podKey(key))
	if len(events) == 0 && (e == nil || sameStatus(e.Pod().Status, status)) {
		return
	}
	err := a.keeper.do(context.WithoutCancel(ctx), func() error {
		e := a.Snapshot().Get(podKey(key))
		if e == nil || e.Object.GetUID() != key.UID {
			return nil
		}
		for _, ev := range events {
			a.keeper.event(e.Pod(), ev, a.cfg.Facts().Name, time.Now())
		}
		if ended(status.Phase) {
			delete(a.seats, key.UID)
			a.nudge()
		}
		if !sameStatus(e.Pod().Status, status) {
			next := withStatus(e, status)
			next.Restarts = restarts
			a.keeper.replace(next)
			a.wakeNeighbours(e.Pod())
		}
		return nil
	})
	if err != nil {
		a.cfg.Log.Error("could not publish a pod's status", zap.String("pod", key.Namespace+"/"+key.Name), zap.Error(err))
	}
}

// withStatus shares everything but the status with the entry it comes from:
// many of them are kept for watches.
func withStatus(e *Entry, status corev1.PodStatus) *Entry {
	p := *e.Pod()
	p.Status = status
	next := *e
	next.Object = &p
	return &next
}

// remove lets a pod's object leave and brings up its successor.
func (a *Agent) remove(ctx context.Context, key pod.Key) error {
	return a.keeper.do(context.WithoutCancel(ctx), func() error {
		e := a.Snapshot().Get(podKey(key))
		if e == nil || e.Object.GetUID() != key.UID {
			return nil
		}
		forget := store.Change{ForgetPods: []types.UID{key.UID}}
		if e.Next == nil {
			if err := a.keeper.commit(nil, []store.Key{e.Key}, forget); err != nil {
				return err
			}
			delete(a.seats, key.UID)
			a.wakeNeighbours(e.Pod())
			return nil
		}
		obj, err := decodeStored(KindPod, e.Next.Object)
		if err != nil {
			return fmt.Errorf("the pod that takes the place of %s: %w", e.Key, err)
		}
		if p, ok := obj.(*corev1.Pod); ok {
			p.Status = pod.NewStatus(p)
		}
		next := &Entry{Key: e.Key, Source: e.Next.Source, Object: obj}
		if err := a.keeper.commit([]*Entry{next}, nil, forget); err != nil {
			return err
		}
		delete(a.seats, key.UID)
		a.wakeNeighbours(next.Pod())
		a.employ(next, remembered{})
		return nil
	})
}
