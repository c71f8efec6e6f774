package manifests

import (
	"crypto/sha256"
	"encoding/json"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/store"
)

// plan is what is to be done so that what is stored is what the files say.
type plan struct {
	// remove are objects whose file, or whose place in it, is gone.
	remove []*agent.Entry
	// apply are files that are not, or not wholly, stored.
	apply []file
	// broken are files that can't be used; what they held before stays.
	broken []file
	// waiting are files that wait for a writer, or for something old to go.
	waiting []file
}

// isSource tells a file's path from other sources.
func isSource(source string) bool { return filepath.IsAbs(source) }

// decide compares. applied are the contents that were applied as a whole, by
// path.
func decide(files []file, stored []*agent.Entry, applied map[string][sha256.Size]byte) plan {
	var p plan
	present := map[string]file{}
	for _, f := range files {
		present[f.path] = f
		switch {
		case f.busy:
			p.waiting = append(p.waiting, f)
		case f.err != nil:
			p.broken = append(p.broken, f)
		case ending(f, stored):
			p.waiting = append(p.waiting, f)
		case applied[f.path] != f.sum || !complete(f, stored):
			p.apply = append(p.apply, f)
		}
	}
	for _, e := range stored {
		f, there := present[e.Source]
		gone := !there || f.err == nil && !f.busy && !slices.ContainsFunc(f.wants, func(w agent.Want) bool { return keyOf(w) == e.Key })
		if gone && (e.Object.GetDeletionTimestamp() == nil || e.Next != nil) {
			p.remove = append(p.remove, e)
		}
	}
	return p
}

// ending tells whether a pod that the file wants is on its way out: it comes
// back once that is over.
func ending(f file, stored []*agent.Entry) bool {
	return slices.ContainsFunc(f.wants, func(w agent.Want) bool {
		e := find(stored, keyOf(w))
		return e != nil && e.Object.GetDeletionTimestamp() != nil && e.Next == nil && (e.Source != f.path || e.Object.GetUID() == uidOf(w))
	})
}

// complete tells whether every object of the file is stored as its own, or
// takes its place as soon as it is free.
func complete(f file, stored []*agent.Entry) bool {
	return !slices.ContainsFunc(f.wants, func(w agent.Want) bool {
		e := find(stored, keyOf(w))
		return e == nil || e.Source != f.path
	})
}

func find(stored []*agent.Entry, key store.Key) *agent.Entry {
	i := slices.IndexFunc(stored, func(e *agent.Entry) bool { return e.Key == key })
	if i < 0 {
		return nil
	}
	return stored[i]
}

func keyOf(w agent.Want) store.Key {
	meta := metaOf(w)
	return agent.KeyOf(w.Kind, &meta)
}

func uidOf(w agent.Want) types.UID {
	meta := metaOf(w)
	return meta.UID
}

// metaOf is empty for what is no object: applying it tells what is wrong.
func metaOf(w agent.Want) metav1.ObjectMeta {
	var m metav1.PartialObjectMetadata
	_ = json.Unmarshal(w.JSON, &m)
	return m.ObjectMeta
}
