package table

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func namespaceLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{name(), column("Status"), column("Age")},
		cells: typed(func(n *corev1.Namespace, now time.Time) []any {
			return []any{n.Name, string(n.Status.Phase), Age(n.CreationTimestamp, now)}
		}),
	}
}

func claimLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{
			name(), column("Status"), column("Volume"), column("Capacity"), column("Access Modes"), column("StorageClass"),
			column("VolumeAttributesClass"), column("Age"), wide("VolumeMode"),
		},
		cells: typed(claimCells),
	}
}

func claimCells(c *corev1.PersistentVolumeClaim, now time.Time) []any {
	capacity, modes := "", ""
	if c.Spec.VolumeName != "" {
		storage := c.Status.Capacity[corev1.ResourceStorage]
		capacity, modes = storage.String(), accessModes(c.Status.AccessModes)
	}
	mode, class, attributes := unset, "", unset
	if c.Spec.VolumeMode != nil {
		mode = string(*c.Spec.VolumeMode)
	}
	if c.Spec.StorageClassName != nil {
		class = *c.Spec.StorageClassName
	}
	if c.Spec.VolumeAttributesClassName != nil {
		attributes = *c.Spec.VolumeAttributesClassName
	}
	return []any{c.Name, string(c.Status.Phase), c.Spec.VolumeName, capacity, modes, class, attributes, Age(c.CreationTimestamp, now), mode}
}

const unset = "<unset>"

// accessModes are kubectl's abbreviations.
func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	short := map[corev1.PersistentVolumeAccessMode]string{
		corev1.ReadWriteOnce: "RWO", corev1.ReadOnlyMany: "ROX", corev1.ReadWriteMany: "RWX", corev1.ReadWriteOncePod: "RWOP",
	}
	var all []string
	for _, m := range modes {
		all = append(all, short[m])
	}
	return strings.Join(all, ",")
}

func runtimeClassLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{name(), column("Handler"), column("Age")},
		cells: typed(func(r *nodev1.RuntimeClass, now time.Time) []any {
			return []any{r.Name, r.Handler, Age(r.CreationTimestamp, now)}
		}),
	}
}

func priorityClassLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{name(), column("Value"), column("Global-Default"), column("Age"), column("PreemptionPolicy")},
		cells: typed(func(p *schedulingv1.PriorityClass, now time.Time) []any {
			policy := corev1.PreemptLowerPriority
			if p.PreemptionPolicy != nil {
				policy = *p.PreemptionPolicy
			}
			return []any{p.Name, int64(p.Value), p.GlobalDefault, Age(p.CreationTimestamp, now), string(policy)}
		}),
	}
}
