package agent

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// Object is a Kubernetes object of any kind.
type Object interface {
	metav1.Object
	runtime.Object
}

// The kinds that are served.
const (
	KindPod       = "Pod"
	KindConfigMap = "ConfigMap"
	KindSecret    = "Secret"
	KindNode      = "Node"
	KindEvent     = "Event"
)

// SourceAPI owns what was applied over gRPC.
const SourceAPI = "api"

// Entry is one object as it is now. It is never changed: a new one takes its
// place.
type Entry struct {
	Key    store.Key
	Source string
	Object Object
	// Force: its deletion kills at once.
	Force bool
	// Next takes its place once it is wholly gone.
	Next *store.Record
}

// Pod is the entry's object if it is a pod.
func (e *Entry) Pod() *corev1.Pod { return e.Object.(*corev1.Pod) }

// Snapshot is everything at one revision. Readers share it; it never changes.
type Snapshot struct {
	Revision uint64
	// kinds by name: objects by namespace/name.
	kinds map[string]map[types.NamespacedName]*Entry
}

// Get is nil when there is no such object.
func (s *Snapshot) Get(key store.Key) *Entry {
	return s.kinds[key.Kind][types.NamespacedName{Namespace: key.Namespace, Name: key.Name}]
}

// List gives the objects of one kind, ordered by namespace and name.
func (s *Snapshot) List(kind string) []*Entry {
	objects := s.kinds[kind]
	names := slices.SortedFunc(maps.Keys(objects), func(a, b types.NamespacedName) int {
		if a.Namespace != b.Namespace {
			return strings.Compare(a.Namespace, b.Namespace)
		}
		return strings.Compare(a.Name, b.Name)
	})
	out := make([]*Entry, 0, len(names))
	for _, n := range names {
		out = append(out, objects[n])
	}
	return out
}

// Pods are all pods, ordered by namespace and name.
func (s *Snapshot) Pods() []*corev1.Pod {
	entries := s.List(KindPod)
	out := make([]*corev1.Pod, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Pod())
	}
	return out
}

// podOf is the pod of a uid, or nil.
func (s *Snapshot) podOf(uid types.UID) *Entry {
	for _, e := range s.kinds[KindPod] {
		if e.Object.GetUID() == uid {
			return e
		}
	}
	return nil
}

// with is a snapshot in which entry stands for key; nil removes it.
func (s *Snapshot) with(revision uint64, key store.Key, entry *Entry) *Snapshot {
	kinds := copied(s.kinds)
	objects := copied(kinds[key.Kind])
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	if entry == nil {
		delete(objects, name)
	} else {
		objects[name] = entry
	}
	kinds[key.Kind] = objects
	return &Snapshot{Revision: revision, kinds: kinds}
}

// copied is never nil.
func copied[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m)+1)
	maps.Copy(out, m)
	return out
}
