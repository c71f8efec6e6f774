package agent

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

func podWithUID(uid string) *corev1.Pod {
	p := &corev1.Pod{}
	p.Namespace, p.Name, p.UID = "default", "pod-"+uid, types.UID(uid)
	p.Spec.InitContainers = []corev1.Container{{Name: "prepare"}}
	return p
}

// happen records events in the keeper's goroutine and gives what is there then.
func happen(t *testing.T, k *keeper, p *corev1.Pod, events ...pod.Event) map[types.NamespacedName]*Entry {
	t.Helper()
	if err := k.do(t.Context(), func() error {
		for _, ev := range events {
			k.event(p, ev, "host", time.Now())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return k.now.Load().kinds[KindEvent]
}

func TestTheSameEventIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKeeper(t)
		ev := pod.Event{Type: corev1.EventTypeWarning, Reason: "BackOff", Message: "again", Container: "prepare"}
		first := time.Now()
		happen(t, k, podWithUID("u"), ev)
		time.Sleep(time.Minute)
		other := ev
		other.Container = "main"
		all := happen(t, k, podWithUID("u"), ev, ev, other)
		if len(all) != 2 {
			t.Fatalf("%d events", len(all))
		}
		var got *corev1.Event
		for _, e := range all {
			if ev := e.Object.(*corev1.Event); ev.InvolvedObject.FieldPath == "spec.initContainers{prepare}" {
				got = ev
			}
		}
		if got.Count != 3 || !got.FirstTimestamp.Time.Equal(first) || !got.LastTimestamp.Time.Equal(first.Add(time.Minute)) {
			t.Errorf("%d times from %v to %v", got.Count, got.FirstTimestamp, got.LastTimestamp)
		}
		if got.Source.Host != "host" || got.InvolvedObject.UID != "u" || got.Reason != "BackOff" {
			t.Errorf("%+v", got)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKeeper(t)
		said := func(i int) pod.Event {
			return pod.Event{Type: corev1.EventTypeWarning, Reason: "Unhealthy", Message: fmt.Sprint(i)}
		}
		happen(t, k, podWithUID("quiet"), said(0))
		time.Sleep(time.Second)
		for i := range 3 * maxPodEvents {
			if n := len(happen(t, k, podWithUID("loud"), said(i))); n > 1+maxPodEvents {
				t.Fatalf("%d events", n)
			}
			time.Sleep(time.Second)
		}
		all := happen(t, k, podWithUID("loud"))
		kept := map[string]bool{}
		for _, e := range all {
			ev := e.Object.(*corev1.Event)
			kept[string(ev.InvolvedObject.UID)+ev.Message] = true
		}
		if !kept["quiet0"] || !kept[fmt.Sprintf("loud%d", 3*maxPodEvents-1)] || kept["loud0"] {
			t.Error("the wrong ones are kept")
		}
		for i := range 2 * maxEvents {
			if n := len(happen(t, k, podWithUID(fmt.Sprint(i)), said(i))); n > maxEvents {
				t.Fatalf("%d events", n)
			}
		}
		if len(k.eventsOf) > maxEvents {
			t.Errorf("%d pods are counted", len(k.eventsOf))
		}
	})
}

func TestEventsSurviveOnDiskAndGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runningKeeper(t)
		happen(t, k, podWithUID("u"), pod.Event{Reason: "Started"}, pod.Event{Reason: "Pulled"})
		if err := k.do(t.Context(), k.saveEvents); err != nil {
			t.Fatal(err)
		}
		time.Sleep(eventAge - time.Minute)
		happen(t, k, podWithUID("u"), pod.Event{Reason: "Started"})
		time.Sleep(2 * time.Minute)
		err := k.do(t.Context(), func() error {
			k.expire(time.Now(), maxEvents, func(*Entry) bool { return true })
			return k.saveEvents()
		})
		if err != nil {
			t.Fatal(err)
		}
		st, err := k.store.Load()
		if err != nil {
			t.Fatal(err)
		}
		next := newKeeper(k.store, k.log)
		if err := next.load(st, decodeStored); err != nil {
			t.Fatal(err)
		}
		all := next.now.Load().List(KindEvent)
		if len(all) != 1 || all[0].Object.(*corev1.Event).Count != 2 || next.eventsOf["u"] != 1 {
			t.Errorf("%d events, counted %v", len(all), next.eventsOf)
		}
	})
}
