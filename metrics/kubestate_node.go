package metrics

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeRows tell of the node. It has no role: no mixin takes it for a control
// plane.
func nodeRows() []metric[Snapshot] {
	return []metric[Snapshot]{
		ofNode("kube_node_info", "What the node is; always 1.",
			[]string{"kernel_version", "os_image", "container_runtime_version", "kubelet_version", "kubeproxy_version", "provider_id", "pod_cidr", "system_uuid", "internal_ip"},
			nodeInfo),
		ofNode("kube_node_created", "When the node came to be, in seconds since 1970.", nil,
			func(n *corev1.Node) []sample { return when(&n.CreationTimestamp) }),
		ofNode("kube_node_spec_unschedulable", "Whether the node takes no new pods.", nil,
			func(n *corev1.Node) []sample { return []sample{{nil, truth(n.Spec.Unschedulable)}} }),
		ofNode("kube_node_spec_taint", "The taints of the node; always 1.", []string{"key", "value", "effect"}, nodeTaints),
		ofNode("kube_node_status_addresses", "The addresses of the node; always 1.", []string{"type", "address"}, nodeAddresses),
		ofNode("kube_node_status_allocatable", "What pods may use of a resource of the node.", []string{"resource", "unit"},
			func(n *corev1.Node) []sample { return resources(n.Status.Allocatable) }),
		ofNode("kube_node_status_capacity", "What the node has of a resource.", []string{"resource", "unit"},
			func(n *corev1.Node) []sample { return resources(n.Status.Capacity) }),
		ofNode("kube_node_status_condition", "The conditions of the node: 1 for how each is.", []string{"condition", "status"}, nodeConditions),
	}
}

// ofNode is a row about the node, if it is known yet.
func ofNode(name, help string, labels []string, values func(*corev1.Node) []sample) metric[Snapshot] {
	return metric[Snapshot]{name, help, gauge, append([]string{"node"}, labels...), func(s Snapshot) []sample {
		if s.Node == nil {
			return nil
		}
		return named(s.Node.Name, values(s.Node))
	}}
}

func nodeInfo(n *corev1.Node) []sample {
	ip := ""
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			ip = a.Address
		}
	}
	i := n.Status.NodeInfo
	return is(i.KernelVersion, i.OSImage, i.ContainerRuntimeVersion, i.KubeletVersion, "deprecated", n.Spec.ProviderID, n.Spec.PodCIDR, i.SystemUUID, ip)
}

func nodeTaints(n *corev1.Node) []sample {
	var samples []sample
	for _, t := range n.Spec.Taints {
		samples = append(samples, is(t.Key, t.Value, string(t.Effect))...)
	}
	return samples
}

func nodeAddresses(n *corev1.Node) []sample {
	var samples []sample
	for _, a := range n.Status.Addresses {
		samples = append(samples, is(string(a.Type), a.Address)...)
	}
	return samples
}

func nodeConditions(n *corev1.Node) []sample {
	var samples []sample
	for _, c := range n.Status.Conditions {
		samples = append(samples, named(string(c.Type), conditionValues(c.Status))...)
	}
	return samples
}

// resources are quantities in base units: cores, bytes, or whole numbers.
func resources(list corev1.ResourceList) []sample {
	samples := make([]sample, 0, len(list))
	for _, name := range slices.Sorted(maps.Keys(list)) {
		quantity := list[name]
		samples = append(samples, sample{[]string{labelName(string(name)), unitOf(name)}, quantity.AsApproximateFloat64()})
	}
	return samples
}

func unitOf(name corev1.ResourceName) string {
	switch {
	case name == corev1.ResourceCPU:
		return "core"
	case name == corev1.ResourceMemory, name == corev1.ResourceStorage, name == corev1.ResourceEphemeralStorage,
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return "byte"
	}
	return "integer"
}

// labelName is a name in the letters that a label's name may have.
func labelName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

func familyOf(ip string) string {
	if addr, err := netip.ParseAddr(ip); err == nil && addr.Is6() {
		return "6"
	}
	return "4"
}

// objectRows tell of namespaces, ConfigMaps, Secrets and claims. Nothing of
// their content is told.
func objectRows() []metric[Snapshot] {
	namespaces := func(s Snapshot) []*corev1.Namespace { return s.Namespaces }
	configMaps := func(s Snapshot) []*corev1.ConfigMap { return s.ConfigMaps }
	secrets := func(s Snapshot) []*corev1.Secret { return s.Secrets }
	claims := func(s Snapshot) []*corev1.PersistentVolumeClaim { return s.Claims }
	return []metric[Snapshot]{
		ofAll("kube_namespace_created", "When a namespace was created, in seconds since 1970.", nil, namespaces, created),
		ofAll("kube_namespace_status_phase", "The phase of a namespace: 1 for the one it is in.", []string{"phase"}, namespaces,
			func(n *corev1.Namespace) []sample {
				return oneOf(n.Status.Phase, corev1.NamespaceActive, corev1.NamespaceTerminating)
			}),
		ofAll("kube_configmap_info", "That there is a ConfigMap; always 1.", []string{"configmap"}, configMaps, exists),
		ofAll("kube_configmap_created", "When a ConfigMap was created, in seconds since 1970.", []string{"configmap"}, configMaps, created),
		ofAll("kube_secret_info", "That there is a Secret; always 1.", []string{"secret"}, secrets, exists),
		ofAll("kube_secret_type", "The type of a Secret; always 1.", []string{"secret", "type"}, secrets,
			func(s *corev1.Secret) []sample { return is(string(s.Type)) }),
		ofAll("kube_secret_created", "When a Secret was created, in seconds since 1970.", []string{"secret"}, secrets, created),
		ofAll("kube_persistentvolumeclaim_info", "That there is a claim, and what it is; always 1.",
			[]string{"persistentvolumeclaim", "storageclass", "volumename", "volumemode"}, claims, claimInfo),
		ofAll("kube_persistentvolumeclaim_created", "When a claim was created, in seconds since 1970.", []string{"persistentvolumeclaim"}, claims, created),
		ofAll("kube_persistentvolumeclaim_access_mode", "How a claim may be mounted; always 1.",
			[]string{"persistentvolumeclaim", "access_mode"}, claims, claimModes),
		ofAll("kube_persistentvolumeclaim_resource_requests_storage_bytes", "How much room a claim asks for.",
			[]string{"persistentvolumeclaim"}, claims, claimRoom),
		ofAll("kube_persistentvolumeclaim_status_phase", "The phase of a claim: 1 for the one it is in.", []string{"persistentvolumeclaim", "phase"}, claims,
			func(c *corev1.PersistentVolumeClaim) []sample {
				if c.Status.Phase == "" {
					return nil
				}
				return oneOf(c.Status.Phase, corev1.ClaimLost, corev1.ClaimBound, corev1.ClaimPending)
			}),
	}
}

// ofAll is a row about every object of a kind. The first label is its
// namespace, or its name if it has none; then come labels, of which the first is
// the name of an object in a namespace.
func ofAll[T metav1.Object](name, help string, labels []string, all func(Snapshot) []T, values func(T) []sample) metric[Snapshot] {
	return metric[Snapshot]{name, help, gauge, append([]string{"namespace"}, labels...), func(s Snapshot) []sample {
		var samples []sample
		for _, o := range all(s) {
			found := named(o.GetName(), values(o))
			if o.GetNamespace() != "" {
				found = named(o.GetNamespace(), found)
			}
			samples = append(samples, found...)
		}
		return samples
	}}
}

func created[T metav1.Object](o T) []sample {
	at := o.GetCreationTimestamp()
	return when(&at)
}

func exists[T metav1.Object](T) []sample { return is() }

func claimInfo(c *corev1.PersistentVolumeClaim) []sample {
	class, mode := "", ""
	if c.Spec.StorageClassName != nil {
		class = *c.Spec.StorageClassName
	}
	if c.Spec.VolumeMode != nil {
		mode = string(*c.Spec.VolumeMode)
	}
	return is(class, c.Spec.VolumeName, mode)
}

func claimModes(c *corev1.PersistentVolumeClaim) []sample {
	var samples []sample
	for _, mode := range c.Spec.AccessModes {
		samples = append(samples, is(string(mode))...)
	}
	return samples
}

func claimRoom(c *corev1.PersistentVolumeClaim) []sample {
	room, ok := c.Spec.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		return nil
	}
	return []sample{{nil, room.AsApproximateFloat64()}}
}
