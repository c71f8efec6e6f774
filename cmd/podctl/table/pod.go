package table

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{
			name(), column("Ready"), column("Status"), column("Restarts"), column("Age"),
			wide("IP"), wide("Node"), wide("Nominated Node"), wide("Readiness Gates"),
		},
		cells: typed(podCells),
	}
}

func podCells(pod *corev1.Pod, now time.Time) []any {
	s := summarize(pod)
	return []any{
		pod.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.status, s.restartsText(now), Age(pod.CreationTimestamp, now),
		podIP(pod), or(pod.Spec.NodeName, none), or(pod.Status.NominatedNodeName, none), readinessGates(pod),
	}
}

func podIP(pod *corev1.Pod) string {
	if len(pod.Status.PodIPs) > 0 {
		return or(pod.Status.PodIPs[0].IP, none)
	}
	return or(pod.Status.PodIP, none)
}

func readinessGates(pod *corev1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return none
	}
	open := 0
	for _, gate := range pod.Spec.ReadinessGates {
		if isTrue(pod, gate.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(pod.Spec.ReadinessGates))
}

// PodStatus is the STATUS column: the phase, or what is more telling.
func PodStatus(pod *corev1.Pod) string { return summarize(pod).status }

// summary is a pod in a line. While init containers run it is about them, then
// about the app containers; sidecars count in both.
type summary struct {
	ready, total, restarts int
	lastRestart            metav1.Time
	status                 string
}

// summarize follows kubectl's rules, which are those of the API server's
// printer: k8s.io/kubernetes/pkg/printers/internalversion.
func summarize(pod *corev1.Pod) summary {
	s := summary{status: phaseOrReason(pod), total: len(pod.Spec.Containers) + len(sidecars(pod))}
	blocked, side := s.initContainers(pod)
	if !blocked || isTrue(pod, corev1.PodInitialized) {
		s.restarts, s.lastRestart = side.restarts, side.lastRestart
		s.appContainers(pod)
	}
	if pod.DeletionTimestamp != nil {
		switch {
		case pod.Status.Reason == "NodeLost":
			s.status = "Unknown"
		case pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded:
			s.status = "Terminating"
		}
	}
	return s
}

func phaseOrReason(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			return corev1.PodReasonSchedulingGated
		}
	}
	return or(pod.Status.Reason, string(pod.Status.Phase))
}

// sidecars are the names of the init containers that stay.
func sidecars(pod *corev1.Pod) map[string]bool {
	names := make(map[string]bool)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			names[c.Name] = true
		}
	}
	return names
}

// initContainers counts the init containers up to the first that is not done,
// whose state becomes the status; blocked says that there is one. side has the
// restarts of the sidecars among them.
func (s *summary) initContainers(pod *corev1.Pod) (blocked bool, side summary) {
	stays := sidecars(pod)
	for i, c := range pod.Status.InitContainerStatuses {
		s.countRestarts(c)
		if stays[c.Name] {
			side.countRestarts(c)
		}
		switch {
		case c.State.Terminated != nil && c.State.Terminated.ExitCode == 0:
		case stays[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
		default:
			s.status = initStatus(c, i, len(pod.Spec.InitContainers))
			return true, side
		}
	}
	return false, side
}

// initStatus is what holds an init container, the i-th of n, up.
func initStatus(c corev1.ContainerStatus, i, n int) string {
	waiting := c.State.Waiting
	switch {
	case c.State.Terminated != nil:
		return "Init:" + terminated(c.State.Terminated)
	case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
		return "Init:" + waiting.Reason
	}
	return fmt.Sprintf("Init:%d/%d", i, n)
}

// appContainers counts the app containers. The first of them in the spec that
// waits or has ended gives the status.
func (s *summary) appContainers(pod *corev1.Pod) {
	running, failed := false, ""
	for i := len(pod.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := pod.Status.ContainerStatuses[i]
		s.countRestarts(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.status = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.status = terminated(c.State.Terminated)
			if c.State.Terminated.ExitCode != 0 {
				failed = s.status
			}
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.status != "Completed" {
		return
	}
	switch {
	case running && isTrue(pod, corev1.PodReady):
		s.status = "Running"
	case failed != "":
		s.status = failed
	case running:
		s.status = "NotReady"
	}
}

func terminated(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

func (s *summary) countRestarts(c corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if last := c.LastTerminationState.Terminated; last != nil && s.lastRestart.Before(&last.FinishedAt) {
		s.lastRestart = last.FinishedAt
	}
}

func (s summary) restartsText(now time.Time) string {
	if s.restarts == 0 || s.lastRestart.IsZero() {
		return fmt.Sprint(s.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts, Age(s.lastRestart, now))
}

func isTrue(pod *corev1.Pod, condition corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == condition {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
