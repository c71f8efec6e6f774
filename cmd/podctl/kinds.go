package main

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// kind is a kind of object and what people call it.
type kind struct {
	name, plural string
	short        []string
	// cluster says that it has no namespaces.
	cluster bool
}

// imageKind is what images are printed as; podd keeps them apart from objects.
const imageKind = "Image"

func (k kind) isImage() bool { return k.name == imageKind }

// kinds are all that podctl has a name for, with kubectl's short names.
func kinds() []kind {
	return []kind{
		{name: "Pod", plural: "pods", short: []string{"po"}},
		{name: "ConfigMap", plural: "configmaps", short: []string{"cm"}},
		{name: "Secret", plural: "secrets"},
		{name: "Event", plural: "events", short: []string{"ev"}},
		{name: "Node", plural: "nodes", short: []string{"no"}, cluster: true},
		{name: imageKind, plural: "images", short: []string{"img"}, cluster: true},
		{name: "Namespace", plural: "namespaces", short: []string{"ns"}, cluster: true},
		{name: "PersistentVolumeClaim", plural: "persistentvolumeclaims", short: []string{"pvc"}},
		{name: "RuntimeClass", plural: "runtimeclasses", cluster: true},
		{name: "PriorityClass", plural: "priorityclasses", short: []string{"pc"}, cluster: true},
		{name: "Service", plural: "services", short: []string{"svc"}},
	}
}

// kindOf finds a kind by any of its names, in any case. "all" is pods: there
// is no other workload here.
func kindOf(word string) (kind, error) {
	word = strings.ToLower(word)
	if word == "all" {
		word = "pods"
	}
	for _, k := range kinds() {
		if word == strings.ToLower(k.name) || word == k.plural || slices.Contains(k.short, word) {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("the server doesn't have a resource type %q", word)
}

// kindNamed is the kind that an object says it is.
func kindNamed(name string) kind {
	for _, k := range kinds() {
		if k.name == name {
			return k
		}
	}
	return kind{name: name, plural: strings.ToLower(name) + "s"}
}

// ref names one object.
type ref struct {
	kind            kind
	namespace, name string
	// uid is empty when any object of that name is meant.
	uid types.UID
}

// String is how kubectl names an object in messages: pods/web.
func (r ref) String() string { return r.kind.plural + "/" + r.name }

func (r ref) proto() *poddv1.ObjectRef {
	return &poddv1.ObjectRef{Kind: r.kind.name, Namespace: r.namespace, Name: r.name}
}

// watchRequest watches that object and no other.
func (r ref) watchRequest() *poddv1.WatchRequest {
	return &poddv1.WatchRequest{
		Kinds: []string{r.kind.name}, Namespace: r.namespace, FieldSelector: "metadata.name=" + r.name,
	}
}

// word is the kind in messages: pod "web" deleted.
func (k kind) word() string { return strings.ToLower(k.name) }
