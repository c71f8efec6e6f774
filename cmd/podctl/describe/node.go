package describe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

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
	if node.Spec.PodCIDR != "" {
		p.line(0, "PodCIDR:", node.Spec.PodCIDR)
	}
	if len(node.Spec.PodCIDRs) > 0 {
		p.line(0, "PodCIDRs:", strings.Join(node.Spec.PodCIDRs, ","))
	}
	if node.Spec.ProviderID != "" {
		p.line(0, "ProviderID:", node.Spec.ProviderID)
	}
	p.nodePods(pods, node)
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
	p.heading("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message")
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

// nodePods lists the pods that have not ended, with what they ask for of what
// the node has for pods, and the sums.
func (p *page) nodePods(pods []corev1.Pod, node *corev1.Node) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
	has := node.Status.Allocatable
	if len(has) == 0 {
		has = node.Status.Capacity
	}
	p.line(0, "Non-terminated Pods:", fmt.Sprintf("(%d in total)", len(pods)))
	p.heading("Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age")
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, pod := range pods {
		r := resourcehelper.PodRequests(&pod, resourcehelper.PodResourcesOptions{UseStatusResources: true})
		l := resourcehelper.PodLimits(&pod, resourcehelper.PodResourcesOptions{UseStatusResources: true})
		p.line(1, pod.Namespace, pod.Name, share(r, has, corev1.ResourceCPU), share(l, has, corev1.ResourceCPU),
			share(r, has, corev1.ResourceMemory), share(l, has, corev1.ResourceMemory), table.Age(pod.CreationTimestamp, p.now))
		add(requests, r)
		add(limits, l)
	}
	p.line(0, "Allocated resources:")
	p.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)")
	p.heading("Resource", "Requests", "Limits")
	for _, name := range append([]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}, hugePages(has)...) {
		p.line(1, name, share(requests, has, name), share(limits, has, name))
	}
}

// share is how much of a resource, and of how much there is.
func share(list, has corev1.ResourceList, name corev1.ResourceName) string {
	part, whole := list[name], has[name]
	percent := 0.0
	if all := whole.AsApproximateFloat64(); all > 0 {
		percent = part.AsApproximateFloat64() / all * 100
	}
	return fmt.Sprintf("%s (%d%%)", text(part), int64(percent))
}

func hugePages(list corev1.ResourceList) []corev1.ResourceName {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(list)), func(name corev1.ResourceName) bool {
		return !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
	})
}

func add(sum, more corev1.ResourceList) {
	for name, quantity := range more {
		total := sum[name]
		total.Add(quantity)
		sum[name] = total
	}
}
