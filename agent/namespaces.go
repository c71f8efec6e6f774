package agent

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// sourceImplicit has the namespaces that nobody made: one is there as long as
// something is in it, and "default" always. They are not stored.
const sourceImplicit = "implicit"

// withNamespaces adds to edits those of the implicit namespaces that follow
// from them: at the end, so that the others keep their revisions.
func withNamespaces(before *Snapshot, edits []edit, now time.Time) []edit {
	after, _ := before.edited(edits...)
	revision := after.Revision
	names := map[string]bool{metav1.NamespaceDefault: true}
	for _, e := range edits {
		names[e.key.Namespace] = e.key.Namespace != ""
		if e.key.Kind == KindNamespace {
			names[e.key.Name] = true
		}
	}
	for _, name := range sortedNames(names) {
		key := store.Key{Kind: KindNamespace, Name: name}
		e := after.Get(key)
		switch used := name == metav1.NamespaceDefault || len(after.in(name)) > 0; {
		case e == nil && used:
			revision++
			edits = append(edits, edit{key, implicitNamespace(key, revision, now)})
		case e != nil && e.Source == sourceImplicit && !used:
			revision++
			edits = append(edits, edit{key, nil})
		}
	}
	return edits
}

func sortedNames(names map[string]bool) []string {
	var all []string
	for name, is := range names {
		if is {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func implicitNamespace(key store.Key, revision uint64, now time.Time) *Entry {
	n := &corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
	n.Name, n.Labels = key.Name, map[string]string{corev1.LabelMetadataName: key.Name}
	n.UID = types.UID(uuid.NewHash(sha256.New(), uuid.NameSpaceOID, []byte("podd namespace "+key.Name), 5).String())
	n.CreationTimestamp = metav1.NewTime(now.UTC().Truncate(time.Second))
	n.ResourceVersion = strconv.FormatUint(revision, 10)
	say(KindNamespace, n)
	return &Entry{Key: key, Source: sourceImplicit, Object: n}
}

// in names what is in a namespace, but for events.
func (s *Snapshot) in(namespace string) []string {
	var all []string
	for _, kind := range applyKinds() {
		for name := range s.kinds[kind] {
			if name.Namespace == namespace && namespace != "" {
				all = append(all, strings.ToLower(kind)+"/"+name.Name)
			}
		}
	}
	slices.Sort(all)
	return all
}

// checkEmpty refuses the deletion of a namespace that something is in: nothing
// here removes many objects because of one.
func (a *Agent) checkEmpty(key store.Key) error {
	left := a.Snapshot().in(key.Name)
	if key.Kind != KindNamespace || len(left) == 0 {
		return nil
	}
	more := ""
	if len(left) > 10 {
		left, more = left[:10], ", ..."
	}
	return apierrors.NewConflict(resource(KindNamespace), key.Name, fmt.Errorf("delete what is in it first: %s%s", strings.Join(left, ", "), more))
}
