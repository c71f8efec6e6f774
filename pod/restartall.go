package pod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// notBegun is the Sandbox of an attempt that belongs to none: its container
// begins anew with all others.
const notBegun = -1

// RestartAll is a restart of all containers in place, which one of them caused
// by its exit. Source: KEP-5532.
type RestartAll struct {
	// By and Attempt are whose exit it was.
	By      string `json:"by"`
	Attempt int    `json:"attempt"`
	// Done is set once nothing of before runs any more.
	Done bool `json:"done,omitempty"`
}

// restartingAll ends all containers if one of them ended in a way that asks for
// it, and says whether that is still under way. They are killed at once, without
// their preStop hooks, as by a kubelet; then all begin anew, init containers
// first. The one that caused it waits for its back-off.
func (d *decision) restartingAll() bool {
	m := &d.m.Durable
	if m.RestartAll == nil || m.RestartAll.Done {
		if !d.asksForAll() {
			return false
		}
	}
	r := m.RestartAll
	because := fmt.Sprintf("container %s exited with restart policy rule", r.By)
	over := true
	for _, spec := range d.all() {
		c := d.container(spec.Name)
		switch c.Stage {
		case StageRunning:
			d.stop(spec.Name, c, stopOrder{because: because, force: true, again: true})
			d.kill(spec.Name, c)
		case StageCreating:
			d.discard(spec.Name, c)
		}
		over = over && !c.runs()
	}
	if !over || d.inFlight(SubjectContainer("")) {
		return true
	}
	d.beginAnew()
	return false
}

// is says whether it was a container's current attempt that caused it.
func (r *RestartAll) is(name string, c *ContainerMemo) bool {
	return r != nil && r.By == name && r.Attempt == c.Attempt
}

// all are init containers and app containers, as they come in the spec.
func (d *decision) all() []*corev1.Container {
	var all []*corev1.Container
	for i := range d.pod.Spec.InitContainers {
		all = append(all, &d.pod.Spec.InitContainers[i])
	}
	return append(all, d.apps()...)
}

// asksForAll looks for an exit that asks for the restart of all and has not got
// it yet.
func (d *decision) asksForAll() bool {
	for _, spec := range d.all() {
		c := d.container(spec.Name)
		if c.Stage != StageExited || d.m.Durable.RestartAll.is(spec.Name, c) {
			continue
		}
		if rule := ruleFor(spec, int32(c.Exit.Code)); rule != nil && rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers {
			d.m.Durable.RestartAll = &RestartAll{By: spec.Name, Attempt: c.Attempt}
			return true
		}
	}
	return false
}

// beginAnew puts all containers before their next attempt.
func (d *decision) beginAnew() {
	r := *d.m.Durable.RestartAll
	r.Done = true
	d.m.Durable.RestartAll = &r
	for _, spec := range d.all() {
		c := d.container(spec.Name)
		c.Sandbox = notBegun
		if c.Stage == StageExited && spec.Name != r.By {
			nextAttempt(c)
		}
	}
}

// restartAllCondition is that of a pod that may restart all its containers; ok
// is false for others.
func (d *decision) restartAllCondition() (c corev1.PodCondition, ok bool) {
	for _, spec := range d.all() {
		for _, rule := range spec.RestartPolicyRules {
			ok = ok || rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		}
	}
	c = corev1.PodCondition{Type: corev1.AllContainersRestarting, Status: corev1.ConditionFalse}
	switch r := d.m.Durable.RestartAll; {
	case d.m.Durable.Phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
	case d.m.Durable.Phase == corev1.PodFailed:
		c.Reason = "PodFailed"
	case r != nil && !r.Done:
		c.Status = corev1.ConditionTrue
		c.Reason, c.Message = "RestartAllContainersStarted", "container exited with restart policy rule"
	}
	return c, ok
}
