package fake

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// Disk is the store's twin in memory: it implements agent.Store. The zero value
// is empty.
type Disk struct {
	mu       sync.Mutex
	revision uint64
	objects  map[store.Key][]byte
	memos    map[types.UID][]byte
	events   map[string][]byte
	// decisions are all there were: the twin is not bounded.
	decisions map[types.UID][]json.RawMessage
}

// Load implements agent.Store.
func (d *Disk) Load() (store.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := store.State{Revision: d.revision, Memos: map[types.UID]json.RawMessage{}}
	keys := slices.SortedFunc(maps.Keys(d.objects), func(a, b store.Key) int {
		return slices.Compare([]string{a.String()}, []string{b.String()})
	})
	for _, key := range keys {
		var rec store.Record
		if err := json.Unmarshal(d.objects[key], &rec); err != nil {
			return store.State{}, err
		}
		rec.Key = key
		st.Records = append(st.Records, rec)
	}
	for uid, memo := range d.memos {
		st.Memos[uid] = slices.Clone(memo)
	}
	for _, name := range slices.Sorted(maps.Keys(d.events)) {
		st.Events = append(st.Events, slices.Clone(d.events[name]))
	}
	return st, nil
}

// Commit implements agent.Store.
func (d *Disk) Commit(c store.Change) error {
	put := map[store.Key][]byte{}
	for _, rec := range c.Put {
		raw, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		put[rec.Key] = raw
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Revision > 0 {
		d.revision = c.Revision
	}
	d.objects = merged(d.objects, put)
	for _, key := range c.Remove {
		delete(d.objects, key)
	}
	for _, uid := range c.ForgetPods {
		delete(d.memos, uid)
		delete(d.decisions, uid)
	}
	return nil
}

// PutMemo implements agent.Store.
func (d *Disk) PutMemo(uid types.UID, memo []byte, decisions ...[]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.memos = merged(d.memos, map[types.UID][]byte{uid: slices.Clone(memo)})
	for _, text := range decisions {
		d.note(uid, text)
	}
	return nil
}

// Note implements agent.Store.
func (d *Disk) Note(uid types.UID, decision []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.memos[uid] != nil {
		d.note(uid, decision)
	}
}

func (d *Disk) note(uid types.UID, decision []byte) {
	if d.decisions == nil {
		d.decisions = map[types.UID][]json.RawMessage{}
	}
	d.decisions[uid] = append(d.decisions[uid], slices.Clone(decision))
}

// Decisions implements agent.Store.
func (d *Disk) Decisions(uid types.UID) ([]json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.decisions[uid]), nil
}

// PutEvents implements agent.Store.
func (d *Disk) PutEvents(put map[string][]byte, remove []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = merged(d.events, put)
	for _, name := range remove {
		delete(d.events, name)
	}
	return nil
}

// Memo is what is stored of a pod, nil for nothing.
func (d *Disk) Memo(uid types.UID) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.memos[uid]
}

func merged[K comparable](m, more map[K][]byte) map[K][]byte {
	if m == nil {
		m = map[K][]byte{}
	}
	maps.Copy(m, more)
	return m
}
