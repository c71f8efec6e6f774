package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// The bounds on events: as old as a cluster keeps them, and no more than this
// in all.
const (
	eventAge  = time.Hour
	maxEvents = 2000
	// eventsFlush is how long an event may be in memory only.
	eventsFlush = 5 * time.Second
)

// event records that something happened to a pod; the same thing again is
// counted. It runs in the keeper's goroutine.
func (k *keeper) event(p *corev1.Pod, ev pod.Event, now time.Time) {
	key := store.Key{Kind: KindEvent, Namespace: p.Namespace, Name: eventName(p, ev)}
	stamp := metav1.NewTime(now)
	if old := k.now.Load().Get(key); old != nil {
		again := old.Object.(*corev1.Event).DeepCopy()
		again.Count++
		again.LastTimestamp = stamp
		k.replace(&Entry{Key: key, Source: SourceAPI, Object: again})
		k.dirty(key)
		return
	}
	k.replace(&Entry{Key: key, Source: SourceAPI, Object: newEvent(key, p, ev, stamp)})
	k.dirty(key)
	if len(k.now.Load().kinds[KindEvent]) > maxEvents {
		k.expire(now)
	}
}

// eventName is the same for the same thing, so that it is counted.
func eventName(p *corev1.Pod, ev pod.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s/%s/%s", p.UID, ev.Container, ev.Type, ev.Reason, ev.Message))
	return p.Name + "." + hex.EncodeToString(sum[:8])
}

func newEvent(key store.Key, p *corev1.Pod, ev pod.Event, now metav1.Time) *corev1.Event {
	path := ""
	if ev.Container != "" {
		path = fmt.Sprintf("spec.containers{%s}", ev.Container)
		for _, c := range p.Spec.InitContainers {
			if c.Name == ev.Container {
				path = fmt.Sprintf("spec.initContainers{%s}", ev.Container)
			}
		}
	}
	return &corev1.Event{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: KindEvent},
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: newUID(), CreationTimestamp: now},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: KindPod, Namespace: p.Namespace, Name: p.Name, UID: p.UID, FieldPath: path,
		},
		Type: ev.Type, Reason: ev.Reason, Message: ev.Message,
		Source:         corev1.EventSource{Component: "podd"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: "podd",
	}
}

// expire removes events that are too old, and the oldest ones beyond the bound
// with some room to spare. It runs in the keeper's goroutine.
func (k *keeper) expire(now time.Time) {
	events := k.now.Load().List(KindEvent)
	last := func(e *Entry) time.Time { return e.Object.(*corev1.Event).LastTimestamp.Time }
	slices.SortStableFunc(events, func(a, b *Entry) int { return last(a).Compare(last(b)) })
	surplus := len(events) - maxEvents*9/10
	for i, e := range events {
		if i >= surplus && now.Sub(last(e)) < eventAge {
			return
		}
		k.publish(e.Key, nil)
		k.dirty(e.Key)
	}
}

func (k *keeper) dirty(key store.Key) { k.unsaved[key] = true }

// keepEvents writes events to disk now and then, and lets old ones go.
func (a *Agent) keepEvents(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(eventsFlush):
		}
		err := a.keeper.do(ctx, func() error {
			a.keeper.expire(time.Now())
			return a.keeper.saveEvents()
		})
		if err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("could not write events; it is tried again", zap.Error(err))
		}
	}
}

// flushEvents writes what is left when the keeper has ended.
func (a *Agent) flushEvents() error { return a.keeper.saveEvents() }

func (k *keeper) saveEvents() error {
	if len(k.unsaved) == 0 {
		return nil
	}
	put, remove := map[string][]byte{}, []string{}
	for key := range k.unsaved {
		name := key.Namespace + "/" + key.Name
		e := k.now.Load().Get(key)
		if e == nil {
			remove = append(remove, name)
			continue
		}
		text, err := json.Marshal(e.Object)
		if err != nil {
			return fmt.Errorf("encode event %s: %w", name, err)
		}
		put[name] = text
	}
	if err := k.store.PutEvents(put, remove); err != nil {
		return err
	}
	clear(k.unsaved)
	return nil
}
