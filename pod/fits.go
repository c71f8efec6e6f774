package pod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Fits says whether the node can take a pod besides the others, which are all
// that are not finished. When it cannot, reason and message are the kubelet's,
// and are what Reject wants.
func Fits(p *corev1.Pod, others []*corev1.Pod, n Node) (reason, message string, ok bool) {
	if room, limited := n.Allocatable[corev1.ResourcePods]; limited && int64(len(others))+1 > room.Value() {
		return "OutOfpods", shortOf(corev1.ResourcePods, 1, int64(len(others)), room.Value()), false
	}
	for _, name := range [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if message, ok := fitsResource(p, others, n, name); !ok {
			return "OutOf" + string(name), message, false
		}
	}
	for _, o := range others {
		if portsClash(p, o) {
			return "NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports", false
		}
	}
	return "", "", true
}

func fitsResource(p *corev1.Pod, others []*corev1.Pod, n Node, name corev1.ResourceName) (string, bool) {
	capacity, limited := n.Allocatable[name]
	want := amount(requests(p), name)
	if want == 0 || !limited {
		return "", true
	}
	var used int64
	for _, o := range others {
		used += amount(requests(o), name)
	}
	total := amount(corev1.ResourceList{name: capacity}, name)
	return shortOf(name, want, used, total), want <= total-used
}

// amount is in thousandths for cpu, else in whole units.
func amount(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

func shortOf(name corev1.ResourceName, requested, used, capacity int64) string {
	return fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, requested, used, capacity)
}

// portsClash says whether two pods want the same port of the host. An address
// of its own does not clash with another one, only with the same or with all.
func portsClash(a, b *corev1.Pod) bool {
	for _, x := range wantedPorts(a) {
		for _, y := range wantedPorts(b) {
			if x.HostPort == y.HostPort && x.Protocol == y.Protocol &&
				(x.HostIP == y.HostIP || anyAddress(x.HostIP) || anyAddress(y.HostIP)) {
				return true
			}
		}
	}
	return false
}

func anyAddress(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }

// wantedPorts are all host ports a pod takes: those of a hostNetwork pod too.
func wantedPorts(p *corev1.Pod) []HostPort {
	var ports []HostPort
	for _, c := range p.Spec.Containers {
		for _, cp := range c.Ports {
			if cp.HostPort != 0 {
				ports = append(ports, HostPort{HostIP: cp.HostIP, HostPort: cp.HostPort, Protocol: protocol(cp)})
			}
		}
	}
	return ports
}
