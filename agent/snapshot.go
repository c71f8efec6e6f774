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
	// Restarts counts a pod's restarts, by container and reason.
	Restarts map[string]map[string]int
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

// From gives everything that comes from the sources that are asked for, ordered
// by kind, namespace and name.
func (s *Snapshot) From(is func(source string) bool) []*Entry {
	var out []*Entry
	for _, kind := range applyKinds() {
		for _, e := range s.List(kind) {
			if is(e.Source) {
				out = append(out, e)
			}
		}
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

// edit is an entry that stands for key from now on; nil removes it.
type edit struct {
	key   store.Key
	entry *Entry
}

// edited is the snapshot after the edits, and what each of them changed; every
// one has a revision of its own. What is copied does not depend on how many
// they are.
func (s *Snapshot) edited(edits ...edit) (*Snapshot, []change) {
	next := &Snapshot{Revision: s.Revision, kinds: copied(s.kinds)}
	ours := map[string]bool{}
	changes := make([]change, 0, len(edits))
	for _, e := range edits {
		if !ours[e.key.Kind] {
			next.kinds[e.key.Kind], ours[e.key.Kind] = copied(next.kinds[e.key.Kind]), true
		}
		objects := next.kinds[e.key.Kind]
		name := types.NamespacedName{Namespace: e.key.Namespace, Name: e.key.Name}
		next.Revision++
		changes = append(changes, change{revision: next.Revision, old: objects[name], new: e.entry})
		if e.entry == nil {
			delete(objects, name)
		} else {
			objects[name] = e.entry
		}
	}
	return next, changes
}

// copied is never nil.
func copied[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m)+1)
	maps.Copy(out, m)
	return out
}
