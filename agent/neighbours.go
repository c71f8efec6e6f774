package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// standings tells how the start conditions of a held pod stand.
func (a *Agent) standings(ctx context.Context, snap *Snapshot, held []pod.StartCondition) map[string]pod.Standing {
	if len(held) == 0 {
		return nil
	}
	out := map[string]pod.Standing{}
	for _, c := range held {
		if c.Kind == pod.AfterPod {
			out[c.String()] = pod.StandingOfPod(c.State, snap.podNamed(c.Pod))
		} else {
			out[c.String()] = a.cfg.Conditions.Stands(ctx, c)
		}
	}
	return out
}

func (s *Snapshot) podNamed(name types.NamespacedName) *corev1.Pod {
	if e := s.kinds[KindPod][name]; e != nil {
		return e.Pod()
	}
	return nil
}

// endFirst are the pods that start after a deleted one, are deleted too, and
// still run.
func endFirst(snap *Snapshot, p *corev1.Pod) []string {
	if p.DeletionTimestamp == nil {
		return nil
	}
	var names []string
	for _, e := range snap.kinds[KindPod] {
		other := e.Pod()
		if other.DeletionTimestamp != nil && waitsFor(other, nameOf(p)) && !pod.Stopped(&other.Status) {
			names = append(names, nameOf(other).String())
		}
	}
	slices.Sort(names)
	return names
}

func nameOf(p *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// waitsFor says whether a pod starts after the one of a name.
func waitsFor(p *corev1.Pod, name types.NamespacedName) bool {
	if p.Annotations[pod.StartAfterAnnotation] == "" {
		return false // most pods
	}
	after, err := pod.StartsAfter(p)
	return err == nil && slices.Contains(after.OtherPods(), name)
}

// wakeNeighbours has the pods look that wait for a pod to start, or to end.
func (a *Agent) wakeNeighbours(p *corev1.Pod) {
	if a.ending.Load() != nil {
		a.hint("") // all may wait for the end of each other
	}
	snap := a.Snapshot()
	for _, e := range snap.kinds[KindPod] {
		if waitsFor(e.Pod(), nameOf(p)) {
			a.hint(e.Object.GetUID())
		}
	}
	after, err := pod.StartsAfter(p)
	if err != nil {
		return
	}
	for _, name := range after.OtherPods() {
		if other := snap.podNamed(name); other != nil && other.DeletionTimestamp != nil {
			a.hint(other.UID)
		}
	}
}

// checkCycles refuses pods that would wait for each other for ever.
func (a *Agent) checkCycles(plans []plan) error {
	planned := map[types.NamespacedName]*corev1.Pod{}
	for _, p := range plans {
		if obj, ok := p.Object.(*corev1.Pod); ok {
			planned[nameOf(obj)] = obj
		}
	}
	w := waiters{snap: a.Snapshot(), planned: planned, through: map[types.NamespacedName]bool{}}
	for _, p := range plans {
		obj, ok := p.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		if cycle := w.cycle(nameOf(obj), nil); cycle != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("Pod %q: metadata.annotations[%s]: pods would wait for each other for ever: %s",
				obj.Name, pod.StartAfterAnnotation, strings.Join(cycle, " -> ")))
		}
	}
	return nil
}

// waiters are the pods as they will be.
type waiters struct {
	snap    *Snapshot
	planned map[types.NamespacedName]*corev1.Pod
	// through are those that are in no cycle.
	through map[types.NamespacedName]bool
}

// cycle is one that a path of pods, each waiting for the next, leads into.
func (w *waiters) cycle(name types.NamespacedName, path []types.NamespacedName) []string {
	if i := slices.Index(path, name); i >= 0 {
		var names []string
		for _, n := range append(path[i:], name) {
			names = append(names, n.String())
		}
		return names
	}
	p := w.planned[name]
	if p == nil {
		p = w.snap.podNamed(name)
	}
	if p == nil || w.through[name] {
		return nil
	}
	after, err := pod.StartsAfter(p)
	if err != nil {
		return nil // it waits for nothing
	}
	for _, next := range after.OtherPods() {
		if cycle := w.cycle(next, append(slices.Clone(path), name)); cycle != nil {
			return cycle
		}
	}
	w.through[name] = true
	return nil
}
