package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Verdict ends a pod before its containers would, as a kubelet tells it.
type Verdict struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// deadline ends a pod that was active for longer than it may, in a kubelet's
// words.
func (d *decision) deadline() {
	m := &d.m.Durable
	limit := d.pod.Spec.ActiveDeadlineSeconds
	if limit == nil || m.Verdict != nil || d.in.Deleted != nil || d.finished() {
		return
	}
	due := m.StartedAt.Add(time.Duration(*limit) * time.Second)
	if due.After(d.now) {
		d.wake(due)
		return
	}
	const reason, message = "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
	m.Verdict = &Verdict{Reason: reason, Message: message, At: d.now}
	d.event(corev1.EventTypeNormal, reason, message, "")
}
