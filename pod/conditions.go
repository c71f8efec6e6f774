package pod

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownCondition says whether a condition is computed here.
func ownCondition(t corev1.PodConditionType) bool {
	switch t {
	case corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady,
		corev1.ContainersReady, corev1.PodScheduled, corev1.AllContainersRestarting, StartConditionsMet:
		return true
	}
	return false
}

// putCondition replaces or appends one. The time of its last transition is the
// old one's unless the status changed. Times are whole seconds, as they travel.
func putCondition(all []corev1.PodCondition, c corev1.PodCondition, now time.Time) []corev1.PodCondition {
	if c.LastTransitionTime.IsZero() {
		c.LastTransitionTime = seconds(now)
	}
	i := slices.IndexFunc(all, func(o corev1.PodCondition) bool { return o.Type == c.Type })
	if i < 0 {
		return append(all, c)
	}
	if all[i].Status == c.Status {
		c.LastTransitionTime = all[i].LastTransitionTime
	}
	all[i] = c
	return all
}

// seconds is a time as Kubernetes' JSON carries it.
func seconds(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return metav1.NewTime(t.UTC().Truncate(time.Second))
}

// conditions brings the pod's conditions up to date: others' first, then ours
// in the kubelet's order.
func (d *decision) conditions(st *corev1.PodStatus) {
	ready := *st
	if d.m.Durable.Verdict != nil { // while its containers end, too
		ready.Phase = corev1.PodFailed
	}
	own := []corev1.PodCondition{
		d.readyToStart(), d.initialized(st), podReady(d.pod, &ready, d.m.Durable.Conditions),
		containersReady(d.pod, &ready), {Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	if c, ok := d.startCondition(); ok {
		own = append([]corev1.PodCondition{c}, own...)
	}
	if d.m.Durable.Rejected != nil {
		own = own[len(own)-1:]
	}
	if c, ok := d.restartAllCondition(); ok {
		own = append(own, c)
	}
	for _, c := range own {
		c.ObservedGeneration = d.pod.Generation
		d.m.Durable.Conditions = putCondition(d.m.Durable.Conditions, c, d.now)
	}
	for _, c := range d.m.Durable.Conditions {
		if !ownCondition(c.Type) {
			st.Conditions = append(st.Conditions, c)
		}
	}
	for _, c := range own {
		i := slices.IndexFunc(d.m.Durable.Conditions, func(o corev1.PodCondition) bool { return o.Type == c.Type })
		st.Conditions = append(st.Conditions, d.m.Durable.Conditions[i])
	}
}

func condition(t corev1.PodConditionType, reason, message string) corev1.PodCondition {
	c := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, Reason: reason, Message: message}
	if reason != "" {
		c.Status = corev1.ConditionFalse
	}
	return c
}

func (d *decision) readyToStart() corev1.PodCondition {
	const kind, reason = corev1.PodReadyToStartContainers, "PodSandboxNotReady"
	s := d.sandboxSeen()
	switch {
	case len(d.in.Seen.Sandboxes) == 0:
		return condition(kind, reason, "no pod sandbox exists")
	case s == nil || s.State != Running:
		return condition(kind, reason, "pod sandbox is not ready")
	case !d.networkReady():
		return condition(kind, reason, "pod sandbox has no IP address")
	}
	return condition(kind, "", "")
}

// initialized is true for good once it is: also while init containers run again.
func (d *decision) initialized(st *corev1.PodStatus) corev1.PodCondition {
	var incomplete []string
	for i, cs := range st.InitContainerStatuses {
		done := cs.Ready
		if isSidecar(&d.pod.Spec.InitContainers[i]) {
			done = cs.Started != nil && *cs.Started
		}
		if !done {
			incomplete = append(incomplete, cs.Name)
		}
	}
	if st.Phase == corev1.PodSucceeded {
		c := condition(corev1.PodInitialized, "", "")
		c.Reason = "PodCompleted"
		return c
	}
	was := slices.ContainsFunc(d.m.Durable.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodInitialized && c.Status == corev1.ConditionTrue
	})
	if len(incomplete) > 0 && !anyStarted(st) && !was {
		return condition(corev1.PodInitialized, "ContainersNotInitialized",
			fmt.Sprintf("containers with incomplete status: %s", incomplete))
	}
	return condition(corev1.PodInitialized, "", "")
}

// anyStarted says whether an app container has started, which it can only once
// the pod is initialized.
func anyStarted(st *corev1.PodStatus) bool {
	return slices.ContainsFunc(st.ContainerStatuses, func(cs corev1.ContainerStatus) bool {
		return cs.State.Running != nil || cs.State.Terminated != nil
	})
}

func containersReady(p *corev1.Pod, st *corev1.PodStatus) corev1.PodCondition {
	unready := unreadyOf(p, st)
	switch {
	case st.Phase == corev1.PodSucceeded:
		return condition(corev1.ContainersReady, "PodCompleted", "")
	case st.Phase == corev1.PodFailed:
		return condition(corev1.ContainersReady, "PodFailed", "")
	case len(unready) > 0:
		return condition(corev1.ContainersReady, "ContainersNotReady",
			fmt.Sprintf("containers with unready status: %s", unready))
	}
	return condition(corev1.ContainersReady, "", "")
}

// unreadyOf are the sidecars and app containers that are not ready, as they come
// in the spec.
func unreadyOf(p *corev1.Pod, st *corev1.PodStatus) []string {
	ready := map[string]bool{}
	for _, cs := range slices.Concat(st.InitContainerStatuses, st.ContainerStatuses) {
		ready[cs.Name] = cs.Ready
	}
	var names []string
	for _, c := range sidecars(p) {
		names = append(names, c.Name)
	}
	for _, c := range p.Spec.Containers {
		names = append(names, c.Name)
	}
	return slices.DeleteFunc(names, func(name string) bool { return ready[name] })
}

func podReady(p *corev1.Pod, st *corev1.PodStatus, known []corev1.PodCondition) corev1.PodCondition {
	if c := containersReady(p, st); c.Status != corev1.ConditionTrue {
		c.Type = corev1.PodReady
		return c
	}
	var unmet []string
	for _, gate := range p.Spec.ReadinessGates {
		kind := gate.ConditionType
		i := slices.IndexFunc(known, func(c corev1.PodCondition) bool { return c.Type == kind })
		switch {
		case i < 0:
			unmet = append(unmet, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", kind))
		case known[i].Status != corev1.ConditionTrue:
			unmet = append(unmet, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", kind, known[i].Status))
		}
	}
	if len(unmet) > 0 {
		return condition(corev1.PodReady, "ReadinessGatesNotReady", strings.Join(unmet, ", "))
	}
	return condition(corev1.PodReady, "", "")
}
