package agent

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// reference names an object in a pod's own namespace.
type reference struct{ kind, name string }

// references are the ConfigMaps and Secrets that a pod needs to know.
func references(p *corev1.Pod) map[reference]bool {
	out := map[reference]bool{}
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap != nil {
			out[reference{KindConfigMap, v.ConfigMap.Name}] = true
		}
		if v.Secret != nil {
			out[reference{KindSecret, v.Secret.SecretName}] = true
		}
	}
	for _, s := range p.Spec.ImagePullSecrets {
		out[reference{KindSecret, s.Name}] = true
	}
	for _, c := range pod.Containers(p) {
		addEnvReferences(out, c)
	}
	return out
}

func addEnvReferences(out map[reference]bool, c *corev1.Container) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			out[reference{KindConfigMap, from.ConfigMapRef.Name}] = true
		}
		if from.SecretRef != nil {
			out[reference{KindSecret, from.SecretRef.Name}] = true
		}
	}
	for _, env := range c.Env {
		if env.ValueFrom == nil {
			continue
		}
		if ref := env.ValueFrom.ConfigMapKeyRef; ref != nil {
			out[reference{KindConfigMap, ref.Name}] = true
		}
		if ref := env.ValueFrom.SecretKeyRef; ref != nil {
			out[reference{KindSecret, ref.Name}] = true
		}
	}
}

// refs looks a pod's references up.
func refs(snap *Snapshot, p *corev1.Pod) pod.Refs {
	out := pod.Refs{ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}, Priority: priorityOf(snap, p)}
	for ref := range references(p) {
		e := snap.kinds[ref.kind][types.NamespacedName{Namespace: p.Namespace, Name: ref.name}]
		if e == nil {
			continue
		}
		switch obj := e.Object.(type) {
		case *corev1.ConfigMap:
			out.ConfigMaps[ref.name] = obj
		case *corev1.Secret:
			out.Secrets[ref.name] = obj
		}
	}
	return out
}

// priorityOf is that of a pod's class. Two classes are there without an object.
// Source: "Pod Priority and Preemption" in Kubernetes' documentation.
func priorityOf(snap *Snapshot, p *corev1.Pod) int32 {
	switch p.Spec.PriorityClassName {
	case "system-node-critical":
		return 2000001000
	case "system-cluster-critical":
		return 2000000000
	}
	e := snap.kinds[KindPriorityClass][types.NamespacedName{Name: p.Spec.PriorityClassName}]
	if e == nil {
		return 0
	}
	return e.Object.(*schedulingv1.PriorityClass).Value
}

// wakeReferrers has the pods look that refer to a changed object.
func (a *Agent) wakeReferrers(kind, namespace, name string) {
	for _, p := range a.Snapshot().Pods() {
		if p.Namespace == namespace && references(p)[reference{kind, name}] {
			a.hint(p.UID)
		}
	}
}
