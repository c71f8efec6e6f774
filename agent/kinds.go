package agent

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/podd-io/podd/agent/store"
)

// The kinds that are served.
const (
	KindPod                   = "Pod"
	KindConfigMap             = "ConfigMap"
	KindSecret                = "Secret"
	KindPersistentVolumeClaim = "PersistentVolumeClaim"
	KindRuntimeClass          = "RuntimeClass"
	KindPriorityClass         = "PriorityClass"
	KindNamespace             = "Namespace"
	KindNode                  = "Node"
	KindEvent                 = "Event"
)

// served is what there is to know about a kind.
type served struct {
	kind, plural string
	version      schema.GroupVersion
	// cluster: it has no namespaces.
	cluster bool
	// readOnly: podd makes them itself.
	readOnly bool
	empty    func() Object
}

func servedKinds() []served {
	core := corev1.SchemeGroupVersion
	return []served{
		{kind: KindPod, plural: "pods", version: core, empty: func() Object { return &corev1.Pod{} }},
		{kind: KindConfigMap, plural: "configmaps", version: core, empty: func() Object { return &corev1.ConfigMap{} }},
		{kind: KindSecret, plural: "secrets", version: core, empty: func() Object { return &corev1.Secret{} }},
		{kind: KindPersistentVolumeClaim, plural: "persistentvolumeclaims", version: core, empty: func() Object { return &corev1.PersistentVolumeClaim{} }},
		{kind: KindRuntimeClass, plural: "runtimeclasses", version: nodev1.SchemeGroupVersion, cluster: true, empty: func() Object { return &nodev1.RuntimeClass{} }},
		{kind: KindPriorityClass, plural: "priorityclasses", version: schedulingv1.SchemeGroupVersion, cluster: true, empty: func() Object { return &schedulingv1.PriorityClass{} }},
		{kind: KindNamespace, plural: "namespaces", version: core, cluster: true, empty: func() Object { return &corev1.Namespace{} }},
		{kind: KindEvent, plural: "events", version: core, readOnly: true, empty: func() Object { return &corev1.Event{} }},
		{kind: KindNode, plural: "nodes", version: core, cluster: true, readOnly: true, empty: func() Object { return &corev1.Node{} }},
	}
}

// servedKind is zero for a kind that is not served.
func servedKind(kind string) served {
	all := servedKinds()
	i := slices.IndexFunc(all, func(s served) bool { return s.kind == kind })
	if i < 0 {
		return served{}
	}
	return all[i]
}

func namesOf(kinds []served) []string {
	names := make([]string, 0, len(kinds))
	for _, s := range kinds {
		names = append(names, s.kind)
	}
	return names
}

// applyKinds may be applied and deleted.
func applyKinds() []string {
	return namesOf(slices.DeleteFunc(servedKinds(), func(s served) bool { return s.readOnly }))
}

// readKinds may be read and watched.
func readKinds() []string { return namesOf(servedKinds()) }

// empty is nil for a kind that is not served.
func empty(kind string) Object {
	if make := servedKind(kind).empty; make != nil {
		return make()
	}
	return nil
}

// say has an object say what it is.
func say(kind string, obj Object) {
	obj.GetObjectKind().SetGroupVersionKind(servedKind(kind).version.WithKind(kind))
}

// resource is the kind as Kubernetes' errors name it.
func resource(kind string) schema.GroupResource {
	s := servedKind(kind)
	if s.kind == "" {
		return schema.GroupResource{Resource: kind}
	}
	return schema.GroupResource{Group: s.version.Group, Resource: s.plural}
}

// KeyOf is where an object is stored: in the default namespace unless it names
// one, and in none if its kind has none.
func KeyOf(kind string, obj metav1.Object) store.Key {
	return keyFor(kind, obj.GetNamespace(), obj.GetName())
}

func keyFor(kind, namespace, name string) store.Key {
	switch {
	case servedKind(kind).cluster:
		namespace = ""
	case namespace == "":
		namespace = metav1.NamespaceDefault
	}
	return store.Key{Kind: kind, Namespace: namespace, Name: name}
}
