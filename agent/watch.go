package agent

import (
	"context"
	"sync"
)

// change is one step from a revision to the next. Without old it is an
// addition, without new a removal.
type change struct {
	revision uint64
	old, new *Entry
}

// historyLength is how far back a watch can be resumed.
const historyLength = 4096

// history holds the last changes, oldest first. The keeper owns it.
type history struct {
	changes []change
	// oldest is the revision after which changes has everything.
	oldest uint64
}

func (h *history) add(c change) {
	if len(h.changes) >= 2*historyLength {
		h.changes = append([]change(nil), h.changes[historyLength:]...)
		h.oldest = h.changes[0].revision - 1
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
// ended: with merging, that is that many additions and removals.
const watchBound = 20_000

// watch is the queue of one reader. For a slow one, modifications of the same
// object merge; additions and removals never do.
type watch struct {
	match func(*Entry) bool
	// wake has room for one: something is in the queue.
	wake chan struct{}

	mu       sync.Mutex
	queue    []change
	modified map[*Entry]int // the place in queue of a modification, by its new entry
	revision uint64         // of the last change, ours or not
	overrun  bool
}

// push adds a change; it never waits.
func (w *watch) push(c change) {
	w.mu.Lock()
	w.revision = c.revision
	if c = w.see(c); c.old != nil || c.new != nil {
		w.add(c)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
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
	if c.old != nil && c.new != nil {
		if i, waits := w.modified[c.old]; waits {
			c.old = w.queue[i].old
			delete(w.modified, w.queue[i].new)
			w.queue[i] = c
			w.modified[c.new] = i
			return
		}
		w.modified[c.new] = len(w.queue)
	}
	if len(w.queue) >= watchBound {
		w.overrun = true
		return
	}
	w.queue = append(w.queue, c)
}

// take empties the queue. ok is false when the reader was too slow.
func (w *watch) take() (queue []change, revision uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue, w.queue = w.queue, nil
	clear(w.modified)
	return queue, w.revision, !w.overrun
}

// watchFrom begins a watch. With from it goes on after that revision, else
// the snapshot that it begins with is given. ok is false when from is too long
// ago. The caller ends it with stop.
func (k *keeper) watchFrom(ctx context.Context, match func(*Entry) bool, from *uint64) (w *watch, snap *Snapshot, ok bool, err error) {
	w = &watch{match: match, wake: make(chan struct{}, 1), modified: map[*Entry]int{}}
	ok = true
	err = k.do(ctx, func() error {
		snap = k.now.Load()
		w.revision = snap.Revision
		if from != nil {
			var missed []change
			if missed, ok = k.history.since(*from); !ok || *from > snap.Revision {
				ok = false
				return nil
			}
			for _, c := range missed {
				w.push(c)
			}
		}
		k.watches[w] = true
		return nil
	})
	return w, snap, ok, err
}

// stop ends a watch. The keeper may have ended before.
func (k *keeper) stop(ctx context.Context, w *watch) {
	_ = k.do(ctx, func() error { delete(k.watches, w); return nil })
}
