package describe

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Pod describes a pod. The events are those about it, the last one last.
func Pod(out io.Writer, pod *corev1.Pod, events []corev1.Event, now time.Time) error {
	p := newPage(out, now)
	p.podHead(pod)
	p.podStatus(pod)
	p.containers("Init Containers", asContainers(pod.Spec.InitContainers), pod.Status.InitContainerStatuses)
	p.containers("Containers", asContainers(pod.Spec.Containers), pod.Status.ContainerStatuses)
	p.containers("Ephemeral Containers", ephemeral(pod.Spec.EphemeralContainers), pod.Status.EphemeralContainerStatuses)
	p.podConditions(pod)
	p.volumes(pod.Spec.Volumes)
	p.podTail(pod)
	p.events(events)
	return p.flush()
}

func (p *page) podHead(pod *corev1.Pod) {
	p.line(0, "Name:", pod.Name)
	p.line(0, "Namespace:", pod.Namespace)
	if pod.Spec.Priority != nil {
		p.line(0, "Priority:", *pod.Spec.Priority)
	}
	if pod.Spec.PriorityClassName != "" {
		p.line(0, "Priority Class Name:", pod.Spec.PriorityClassName)
	}
	if pod.Spec.RuntimeClassName != nil {
		p.line(0, "Runtime Class Name:", *pod.Spec.RuntimeClassName)
	}
	p.line(0, "Service Account:", or(pod.Spec.ServiceAccountName, "default"))
	if pod.Spec.NodeName == "" {
		p.line(0, "Node:", none)
	} else {
		p.line(0, "Node:", pod.Spec.NodeName+"/"+pod.Status.HostIP)
	}
	if pod.Status.StartTime != nil {
		p.line(0, "Start Time:", instant(*pod.Status.StartTime))
	}
	p.labels(pod.ObjectMeta)
}

func (p *page) podStatus(pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
		p.line(0, "Status:", fmt.Sprintf("Terminating (lasts %s)", duration.HumanDuration(p.now.Sub(pod.DeletionTimestamp.Time))))
		if pod.DeletionGracePeriodSeconds != nil {
			p.line(0, "Termination Grace Period:", fmt.Sprintf("%ds", *pod.DeletionGracePeriodSeconds))
		}
	} else {
		p.line(0, "Status:", pod.Status.Phase)
	}
	if pod.Status.Reason != "" {
		p.line(0, "Reason:", pod.Status.Reason)
	}
	if pod.Status.Message != "" {
		p.line(0, "Message:", pod.Status.Message)
	}
	if sc := pod.Spec.SecurityContext; sc != nil {
		p.seccomp(0, 0, sc.SeccompProfile)
	}
	p.line(0, "IP:", pod.Status.PodIP)
	var ips []string
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, "IP:\t"+ip.IP)
	}
	p.list(0, "IPs", ips)
	if by := metav1.GetControllerOf(pod); by != nil {
		p.line(0, "Controlled By:", by.Kind+"/"+by.Name)
	}
}

// seccomp writes a profile, and below what the host's file is.
func (p *page) seccomp(level, below int, profile *corev1.SeccompProfile) {
	if profile == nil {
		return
	}
	p.line(level, "SeccompProfile:", profile.Type)
	if profile.LocalhostProfile != nil {
		p.line(below, "LocalhostProfile:", *profile.LocalhostProfile)
	}
}

func (p *page) podConditions(pod *corev1.Pod) {
	if gates := pod.Spec.ReadinessGates; len(gates) > 0 {
		p.line(0, "Readiness Gates:")
		p.line(1, "Type", "Status")
		for _, gate := range gates {
			p.line(1, gate.ConditionType, gateStatus(pod, gate.ConditionType))
		}
	}
	if len(pod.Status.Conditions) == 0 {
		return
	}
	p.line(0, "Conditions:")
	p.line(1, "Type", "Status")
	for _, c := range pod.Status.Conditions {
		p.line(1, c.Type, fmt.Sprintf("%s ", c.Status))
	}
}

func gateStatus(pod *corev1.Pod, gate corev1.PodConditionType) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == gate {
			return string(c.Status)
		}
	}
	return none
}

func (p *page) podTail(pod *corev1.Pod) {
	p.line(0, "QoS Class:", or(string(pod.Status.QOSClass), none))
	p.pairs("Node-Selectors", pod.Spec.NodeSelector, "=")
	var tolerations []string
	for _, t := range pod.Spec.Tolerations {
		tolerations = append(tolerations, toleration(t))
	}
	slices.Sort(tolerations)
	first := "Tolerations:"
	for _, text := range tolerations {
		p.line(0, first, text)
		first = ""
	}
	if len(tolerations) == 0 {
		p.line(0, first, none)
	}
}

// toleration is key=value:effect op=... for seconds.
func toleration(t corev1.Toleration) string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	if t.Effect != "" {
		text += ":" + string(t.Effect)
	}
	if t.Operator == corev1.TolerationOpExists && t.Value == "" {
		text = strings.TrimSpace(text + " op=Exists")
	}
	if t.TolerationSeconds != nil {
		text += fmt.Sprintf(" for %ds", *t.TolerationSeconds)
	}
	return text
}
