package table

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// roleLabel is the prefix of the labels that name a node's roles.
const roleLabel = "node-role.kubernetes.io/"

func nodeLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{
			name(), column("Status"), column("Roles"), column("Age"), column("Version"),
			wide("Internal-IP"), wide("External-IP"), wide("OS-Image"), wide("Kernel-Version"), wide("Container-Runtime"),
		},
		cells: typed(nodeCells),
	}
}

func nodeCells(n *corev1.Node, now time.Time) []any {
	sys := n.Status.NodeInfo
	kernel := or(sys.KernelVersion, unknown)
	if sys.Architecture != "" {
		kernel += " (" + sys.Architecture + ")"
	}
	return []any{
		n.Name, nodeStatus(n), NodeRoles(n), Age(n.CreationTimestamp, now), sys.KubeletVersion,
		nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		or(sys.OSImage, unknown), kernel, or(sys.ContainerRuntimeVersion, unknown),
	}
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		status = "NotReady"
		if c.Status == corev1.ConditionTrue {
			status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// NodeRoles are the roles that a node's labels name, sorted.
func NodeRoles(n *corev1.Node) string {
	var roles []string
	for key, value := range n.Labels {
		if role, found := strings.CutPrefix(key, roleLabel); found && role != "" {
			roles = append(roles, role)
		}
		if key == "kubernetes.io/role" && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return or(strings.Join(slices.Compact(roles), ","), none)
}

func nodeAddress(n *corev1.Node, kind corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return none
}
