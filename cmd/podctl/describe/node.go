package describe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/cmd/podctl/table"
)

// Node describes the host, with the pods that run on it.
func Node(out io.Writer, node *corev1.Node, pods []corev1.Pod, events []corev1.Event, now time.Time) error {
	p := newPage(out, now)
	p.line(0, "Name:", node.Name)
	p.line(0, "Roles:", table.NodeRoles(node))
	p.labels(node.ObjectMeta)
	p.line(0, "CreationTimestamp:", instant(node.CreationTimestamp))
	p.taints(node.Spec.Taints)
	p.line(0, "Unschedulable:", node.Spec.Unschedulable)
	p.nodeConditions(node.Status.Conditions)
	p.line(0, "Addresses:")
	for _, a := range node.Status.Addresses {
		p.line(1, fmt.Sprintf("%s:", a.Type), a.Address)
	}
	p.nodeResources("Capacity", node.Status.Capacity)
	p.nodeResources("Allocatable", node.Status.Allocatable)
	p.system(node.Status.NodeInfo)
	p.nodePods(pods)
	p.events(events)
	return p.flush()
}

func (p *page) taints(taints []corev1.Taint) {
	first := "Taints:"
	for _, t := range taints {
		p.line(0, first, t.ToString())
		first = ""
	}
	if len(taints) == 0 {
		p.line(0, first, none)
	}
}

func (p *page) nodeConditions(conditions []corev1.NodeCondition) {
	if len(conditions) == 0 {
		return
	}
	p.line(0, "Conditions:")
	p.heading(1, "Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message")
	for _, c := range conditions {
		p.line(1, c.Type, c.Status, instant(c.LastHeartbeatTime), instant(c.LastTransitionTime), c.Reason, c.Message)
	}
}

func (p *page) nodeResources(name string, list corev1.ResourceList) {
	if len(list) == 0 {
		return
	}
	p.line(0, name+":")
	for _, key := range slices.Sorted(maps.Keys(list)) {
		p.line(1, string(key)+":", text(list[key]))
	}
}

func (p *page) system(s corev1.NodeSystemInfo) {
	p.line(0, "System Info:")
	for _, line := range []struct{ name, value string }{
		{"Machine ID", s.MachineID},
		{"System UUID", s.SystemUUID},
		{"Boot ID", s.BootID},
		{"Kernel Version", s.KernelVersion},
		{"OS Image", s.OSImage},
		{"Operating System", s.OperatingSystem},
		{"Architecture", s.Architecture},
		{"Container Runtime Version", s.ContainerRuntimeVersion},
		{"Kubelet Version", s.KubeletVersion},
	} {
		p.line(1, line.name+":", line.value)
	}
}

// nodePods lists the pods that have not ended, with what they ask for.
func (p *page) nodePods(pods []corev1.Pod) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
	p.line(0, fmt.Sprintf("Non-terminated Pods: (%d in total)", len(pods)))
	if len(pods) == 0 {
		return
	}
	p.heading(1, "Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age")
	for _, pod := range pods {
		requests, limits := asked(&pod)
		p.line(1, pod.Namespace, pod.Name, text(requests[corev1.ResourceCPU]), text(limits[corev1.ResourceCPU]),
			text(requests[corev1.ResourceMemory]), text(limits[corev1.ResourceMemory]), table.Age(pod.CreationTimestamp, p.now))
	}
}

// asked are the sums of what the app containers ask for.
func asked(pod *corev1.Pod) (requests, limits corev1.ResourceList) {
	requests, limits = corev1.ResourceList{}, corev1.ResourceList{}
	for _, c := range pod.Spec.Containers {
		add(requests, c.Resources.Requests)
		add(limits, c.Resources.Limits)
	}
	return requests, limits
}

func add(sum, more corev1.ResourceList) {
	for name, quantity := range more {
		total := sum[name]
		total.Add(quantity)
		sum[name] = total
	}
}
