package agent

import (
	"cmp"
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
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// The bounds on events: as old as a cluster keeps them, and no more than this
// of one pod and in all.
const (
	eventAge     = time.Hour
	maxEvents    = 2000
	maxPodEvents = 100
	// eventsFlush is how long an event may be in memory only.
	eventsFlush = 5 * time.Second
	// expireEvery is how often old ones are looked for.
	expireEvery = time.Minute
)

// event records that something happened to a pod. It runs in the keeper's
// goroutine.
func (k *keeper) event(p *corev1.Pod, ev pod.Event, host string, now time.Time) {
	k.happened(corev1.ObjectReference{
		APIVersion: "v1", Kind: KindPod, Namespace: p.Namespace, Name: p.Name, UID: p.UID, FieldPath: fieldPath(p, ev.Container),
	}, ev, host, now)
}

// NodeEvent records that something happened that is no one pod's affair. Like a
// kubelet's, such events are in the default namespace.
func (a *Agent) NodeEvent(ctx context.Context, ev pod.Event) error {
	return a.keeper.do(ctx, func() error {
		host := a.cfg.Facts().Name
		ref := corev1.ObjectReference{APIVersion: "v1", Kind: KindNode, Name: host, UID: types.UID(host)}
		a.keeper.happened(ref, ev, host, time.Now())
		return nil
	})
}

// happened records that something happened to an object; the same thing again
// is counted. It runs in the keeper's goroutine.
func (k *keeper) happened(to corev1.ObjectReference, ev pod.Event, host string, now time.Time) {
	namespace := cmp.Or(to.Namespace, metav1.NamespaceDefault)
	key := store.Key{Kind: KindEvent, Namespace: namespace, Name: eventName(to, ev)}
	stamp := metav1.NewTime(now.UTC().Truncate(time.Second))
	k.unsaved[key] = true
	if old := k.now.Load().Get(key); old != nil {
		again := *old.Object.(*corev1.Event)
		again.Count++
		again.LastTimestamp = stamp
		k.replace(&Entry{Key: key, Source: SourceAPI, Object: &again})
		return
	}
	k.replace(&Entry{Key: key, Source: SourceAPI, Object: newEvent(key, to, ev, host, stamp)})
	k.eventsOf[to.UID]++
	if k.eventsOf[to.UID] > maxPodEvents {
		k.expire(now, maxPodEvents*9/10, func(e *Entry) bool { return about(e.Object) == to.UID })
	}
	if len(k.now.Load().kinds[KindEvent]) > maxEvents {
		k.expire(now, maxEvents*9/10, func(*Entry) bool { return true })
	}
}

// eventName is the same for the same thing, so that it is counted.
func eventName(to corev1.ObjectReference, ev pod.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s/%s/%s", to.UID, ev.Container, ev.Type, ev.Reason, ev.Message))
	return to.Name + "." + hex.EncodeToString(sum[:8])
}

func newEvent(key store.Key, to corev1.ObjectReference, ev pod.Event, host string, now metav1.Time) *corev1.Event {
	return &corev1.Event{
		TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: KindEvent},
		ObjectMeta:     metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: newUID(), CreationTimestamp: now},
		InvolvedObject: to,
		Type:           ev.Type, Reason: ev.Reason, Message: ev.Message,
		Source:         corev1.EventSource{Component: "podd", Host: host},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: "podd", ReportingInstance: host,
	}
}

// fieldPath names a container as a kubelet's events do.
func fieldPath(p *corev1.Pod, container string) string {
	if container == "" {
		return ""
	}
	isIt := func(c corev1.Container) bool { return c.Name == container }
	if slices.ContainsFunc(p.Spec.InitContainers, isIt) {
		return fmt.Sprintf("spec.initContainers{%s}", container)
	}
	if slices.ContainsFunc(p.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == container }) {
		return fmt.Sprintf("spec.ephemeralContainers{%s}", container)
	}
	return fmt.Sprintf("spec.containers{%s}", container)
}

// expire removes those of some events that are too old, and the oldest beyond
// keep. It runs in the keeper's goroutine.
func (k *keeper) expire(now time.Time, keep int, of func(*Entry) bool) {
	events := slices.DeleteFunc(k.now.Load().List(KindEvent), func(e *Entry) bool { return !of(e) })
	last := func(e *Entry) time.Time { return e.Object.(*corev1.Event).LastTimestamp.Time }
	slices.SortStableFunc(events, func(a, b *Entry) int { return last(a).Compare(last(b)) })
	surplus := len(events) - keep
	for i, e := range events {
		if i >= surplus && now.Sub(last(e)) < eventAge {
			return
		}
		k.dropEvent(e)
	}
}

func (k *keeper) dropEvent(e *Entry) {
	k.publish(edit{e.Key, nil})
	k.unsaved[e.Key] = true
	uid := about(e.Object)
	if k.eventsOf[uid]--; k.eventsOf[uid] <= 0 {
		delete(k.eventsOf, uid)
	}
}

// keepEvents writes events to disk now and then, and lets old ones go.
func (a *Agent) keepEvents(ctx context.Context) {
	var expired time.Time
	said := ""
	for sleep(ctx, eventsFlush) {
		err := a.keeper.do(ctx, func() error {
			if now := time.Now(); now.Sub(expired) >= expireEvery {
				a.keeper.expire(now, maxEvents, func(*Entry) bool { return true })
				expired = now
			}
			return a.keeper.saveEvents()
		})
		switch {
		case err == nil:
			said = ""
		case !isStop(err) && err.Error() != said:
			said = err.Error()
			a.cfg.Log.Warn("could not write events; it is tried again", zap.Error(err))
		}
	}
}

// saveEvents writes what is not on disk yet. It runs in the keeper's goroutine,
// or when that has ended.
func (k *keeper) saveEvents() error {
	if len(k.unsaved) == 0 {
		return nil
	}
	put, remove := map[string][]byte{}, []string{}
	for key := range k.unsaved {
		name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}.String()
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
