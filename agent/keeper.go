package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// revisionBlock is how many revisions are given out for one write of the
// bound: status changes count, and are not themselves written.
const revisionBlock = 10_000

// keeper owns the objects: one goroutine changes them, persists them, and
// publishes a new snapshot. Everybody else reads snapshots.
type keeper struct {
	store Store
	log   *zap.Logger
	ops   chan func()
	// ended is closed when no op is carried out any more.
	ended chan struct{}
	pulse pulse
	// now is the published snapshot; only the keeper's goroutine stores it.
	now atomic.Pointer[Snapshot]

	// Owned by the goroutine of run.
	bound   uint64 // no revision reaches it without a write
	watches map[*watch]bool
	room    room
	history history
	unsaved map[store.Key]bool // events that changed since they were written
	// eventsOf counts the events about each object.
	eventsOf map[types.UID]int
}

func newKeeper(s Store, log *zap.Logger) *keeper {
	k := &keeper{
		store: s, log: log, ops: make(chan func()), ended: make(chan struct{}), watches: map[*watch]bool{},
		unsaved: map[store.Key]bool{}, eventsOf: map[types.UID]int{},
	}
	k.now.Store(&Snapshot{})
	return k
}

// run carries out what do brings, one after the other, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	defer close(k.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case op := <-k.ops:
			k.pulse.beat()
			op()
			k.pulse.rest()
		}
	}
}

// errStopped is do's error when podd has stopped.
var errStopped = errors.New("podd is stopping")

// do runs op in the keeper's goroutine and gives its error. Once begun, op is
// finished.
func (k *keeper) do(ctx context.Context, op func() error) error {
	done := make(chan error, 1)
	select {
	case k.ops <- func() { done <- op() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	case <-k.ended:
		return errStopped
	}
}

// load takes over what the store holds. It is called before run.
func (k *keeper) load(st store.State, decode func(kind string, raw []byte) (Object, error)) error {
	var edits []edit
	k.bound = st.Revision
	k.history.oldest = st.Revision
	for _, rec := range st.Records {
		e := &Entry{Key: rec.Key, Source: rec.Source, Force: rec.Force, Next: rec.Next}
		obj, err := decode(rec.Key.Kind, rec.Object)
		if err != nil {
			return fmt.Errorf("stored object %s: %w", rec.Key, err)
		}
		if p, ok := obj.(*corev1.Pod); ok {
			r, err := recall(st.Memos[p.UID])
			if err == nil { // if not, adopt tells
				p.Status, e.Restarts = r.Status, r.Memo.Restarts()
			}
		}
		e.Object = obj
		edits = append(edits, edit{rec.Key, e})
	}
	for _, raw := range st.Events {
		obj, err := decode(KindEvent, raw)
		if err != nil {
			k.log.Warn("left a damaged event out", zap.Error(err))
			continue
		}
		key := store.Key{Kind: KindEvent, Namespace: obj.GetNamespace(), Name: obj.GetName()}
		edits = append(edits, edit{key, &Entry{Key: key, Source: SourceAPI, Object: obj}})
		k.eventsOf[about(obj)]++
	}
	snap, _ := (&Snapshot{}).edited(withNamespaces(&Snapshot{}, edits, time.Now())...)
	snap.Revision = st.Revision
	k.now.Store(snap)
	return nil
}

// commit persists what changes in the set, then publishes it. It runs in the
// keeper's goroutine. Either all of it happens or, with an error, nothing.
func (k *keeper) commit(set []*Entry, remove []store.Key, c store.Change) error {
	snap := k.now.Load()
	c.Revision = max(k.bound, snap.Revision+uint64(2*len(set)+len(remove))+revisionBlock)
	c.Remove = remove
	revision := snap.Revision
	for _, e := range set {
		revision++
		if replaced(snap, e) {
			revision++ // for the one that leaves
		}
		e.Object.SetResourceVersion(strconv.FormatUint(revision, 10))
		rec, err := record(e)
		if err != nil {
			return err
		}
		c.Put = append(c.Put, rec)
	}
	if err := k.store.Commit(c); err != nil {
		return err
	}
	k.bound = c.Revision
	var edits []edit
	for _, e := range set {
		if replaced(snap, e) {
			edits = append(edits, edit{e.Key, nil})
		}
		edits = append(edits, edit{e.Key, e})
	}
	for _, key := range remove {
		edits = append(edits, edit{key, nil})
	}
	k.publish(edits...)
	return nil
}

// replaced says whether an entry takes the place of another object of the same
// name.
func replaced(snap *Snapshot, e *Entry) bool {
	old := snap.Get(e.Key)
	return old != nil && old.Object.GetUID() != e.Object.GetUID()
}

// replace publishes an object of which nothing durable changed. It runs in the
// keeper's goroutine.
func (k *keeper) replace(e *Entry) {
	revision := k.now.Load().Revision + 1
	if revision >= k.bound {
		bound := revision + revisionBlock
		if err := k.store.Commit(store.Change{Revision: bound}); err != nil {
			k.log.Error("could not reserve revisions; watches may have to start anew after a restart", zap.Error(err))
		}
		k.bound = bound
	}
	e.Object.SetResourceVersion(strconv.FormatUint(revision, 10))
	k.publish(edit{e.Key, e})
}

// publish makes the next snapshot and tells the watches.
func (k *keeper) publish(edits ...edit) {
	before := k.now.Load()
	next, changes := before.edited(withNamespaces(before, edits, time.Now())...)
	k.now.Store(next)
	for _, c := range changes {
		if c.new == nil {
			c.old = leaving(c.old, c.revision)
		}
		k.history.add(c)
		for w := range k.watches {
			if !w.push(c) {
				delete(k.watches, w)
			}
		}
	}
	k.room.readers.Store(int64(len(k.watches)))
}

// leaving is the last of an object: as it was, at the revision of its end.
func leaving(e *Entry, revision uint64) *Entry {
	last := *e
	last.Object = e.Object.DeepCopyObject().(Object)
	last.Object.SetResourceVersion(strconv.FormatUint(revision, 10))
	return &last
}

// record is how an entry is stored: without a pod's status, which is
// remembered with its memo.
func record(e *Entry) (store.Record, error) {
	raw, err := json.Marshal(withoutStatus(e.Object))
	if err != nil {
		return store.Record{}, fmt.Errorf("encode %s: %w", e.Key, err)
	}
	return store.Record{Key: e.Key, Source: e.Source, Object: raw, Force: e.Force, Next: e.Next}, nil
}
