package agent

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
)

// change is one step from a revision to the next. Without old it is an
// addition, without new a removal.
type change struct {
	revision uint64
	old, new *Entry
}

// historyLength is how many changes back a watch can be resumed at least.
const historyLength = 2048

// history holds the last changes, oldest first. The keeper owns it.
type history struct {
	changes []change
	// oldest is the revision after which changes has everything.
	oldest uint64
}

func (h *history) add(c change) {
	if len(h.changes) >= 2*historyLength {
		h.oldest = h.changes[historyLength-1].revision
		h.changes = append([]change(nil), h.changes[historyLength:]...)
	}
	h.changes = append(h.changes, c)
}

// since gives the changes after a revision, and whether they are all there.
func (h *history) since(revision uint64) ([]change, bool) {
	if revision < h.oldest {
		return nil, false
	}
	for i, c := range h.changes {
		if c.revision > revision {
			return h.changes[i:], true
		}
	}
	return nil, true
}

// watchBound is how many changes wait for a slow reader before its watch is
// ended: as modifications merge, only that many objects or additions and
// removals are.
const watchBound = 4096

// roomForAll is how many changes wait for all slow readers together. From there
// on each has its share only: it is those who read least that are ended.
const roomForAll = 400_000

// room is what the queues of all watches take.
type room struct {
	queued, readers atomic.Int64
}

// share is how long the queue of one reader may be now.
func (r *room) share() int {
	if r.queued.Load() < roomForAll {
		return watchBound
	}
	return roomForAll / max(int(r.readers.Load()), roomForAll/watchBound)
}

// watch is the queue of one reader. For a slow one, modifications of the same
// object merge; additions and removals never do. The queue is in the order of
// revisions, so that a reader can resume after whatever it read last.
type watch struct {
	match func(*Entry) bool
	room  *room
	// wake has room for one: something is in the queue.
	wake chan struct{}

	mu    sync.Mutex
	queue list.List // of change
	// modified are the modifications in queue, by their new entry.
	modified map[*Entry]*list.Element
	revision uint64 // of the last change, ours or not
	overrun  bool
}

// newWatch: match is to be quick, and to change nothing.
func newWatch(match func(*Entry) bool) *watch {
	return &watch{match: match, room: &room{}, wake: make(chan struct{}, 1), modified: map[*Entry]*list.Element{}}
}

// push adds a change; it never waits. It is false when the reader is too slow,
// and then no more need be pushed.
func (w *watch) push(c change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision = c.revision
	if c = w.see(c); c.old == nil && c.new == nil {
		return true
	}
	w.add(c)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return !w.overrun
}

// see leaves of a change what the reader's selectors show: an object that
// comes to match is added, one that ceases to is removed.
func (w *watch) see(c change) change {
	if c.old != nil && !w.match(c.old) {
		c.old = nil
	}
	if c.new != nil && !w.match(c.new) {
		if c.old != nil {
			c.old = c.new // the last object as it is now
		}
		c.new = nil
	}
	return c
}

func (w *watch) add(c change) {
	modified := c.old != nil && c.new != nil
	if modified {
		c = w.merge(c)
	}
	length := w.queue.Len()
	if !modified && length >= watchBound || length >= w.room.share() {
		w.overrun = true
		w.empty()
		return
	}
	w.room.queued.Add(1)
	added := w.queue.PushBack(c)
	if modified {
		w.modified[c.new] = added
	}
}

// merge takes a waiting modification of the same object into c.
func (w *watch) merge(c change) change {
	waiting := w.modified[c.old]
	if waiting == nil {
		return c
	}
	c.old = waiting.Value.(change).old
	delete(w.modified, waiting.Value.(change).new)
	w.queue.Remove(waiting)
	w.room.queued.Add(-1)
	return c
}

// empty forgets the queue.
func (w *watch) empty() {
	w.room.queued.Add(-int64(w.queue.Len()))
	w.queue.Init()
	clear(w.modified)
}

// take empties the queue. ok is false when the reader was too slow: then what
// it missed is gone, and its watch has ended.
func (w *watch) take() (queue []change, revision uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue = make([]change, 0, w.queue.Len())
	for e := w.queue.Front(); e != nil; e = e.Next() {
		queue = append(queue, e.Value.(change))
	}
	w.empty()
	return queue, w.revision, !w.overrun
}

// watchFrom begins a watch. With from it goes on after that revision, else
// the snapshot that it begins with is given. ok is false when from is too long
// ago, or not yet. The caller ends it with stop.
func (k *keeper) watchFrom(ctx context.Context, match func(*Entry) bool, from *uint64) (w *watch, snap *Snapshot, ok bool, err error) {
	w = newWatch(match)
	w.room = &k.room
	ok = true
	err = k.do(ctx, func() error {
		snap = k.now.Load()
		w.revision = snap.Revision
		if from != nil && !k.resume(w, *from) {
			ok = false
			return nil
		}
		w.revision = snap.Revision
		k.watches[w] = true
		k.room.readers.Store(int64(len(k.watches)))
		return nil
	})
	return w, snap, ok, err
}

// resume gives a watch what it missed. It runs in the keeper's goroutine.
func (k *keeper) resume(w *watch, from uint64) bool {
	missed, ok := k.history.since(from)
	if !ok || from > k.now.Load().Revision {
		return false
	}
	for _, c := range missed {
		if !w.push(c) {
			return false
		}
	}
	return true
}

// stop ends a watch.
func (k *keeper) stop(ctx context.Context, w *watch) {
	_ = k.do(context.WithoutCancel(ctx), func() error { // if not, the keeper has ended
		delete(k.watches, w)
		k.room.readers.Store(int64(len(k.watches)))
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.empty()
}
