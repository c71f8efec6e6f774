package runtime

import (
	"context"
	"slices"
	"sync"
)

// queue bounds how many transfers run at once. Those that wait go by priority,
// then by when they came.
type queue struct {
	mu      sync.Mutex
	free    int64     // guarded by mu
	waiting []*ticket // guarded by mu; the first to come first
}

// ticket is a place in a queue.
type ticket struct {
	priority int32         // guarded by queue.mu
	turn     chan struct{} // closed when it is its turn
}

func newTicket(priority int32) *ticket { return &ticket{priority: priority, turn: make(chan struct{})} }

// await waits for a ticket's turn, which leave ends.
func (q *queue) await(ctx context.Context, t *ticket) error {
	q.mu.Lock()
	q.waiting = append(q.waiting, t)
	q.call()
	q.mu.Unlock()
	select {
	case <-t.turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		return ctx.Err()
	}
	q.free++ // it was called meanwhile
	q.call()
	return ctx.Err()
}

// leave ends a turn.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.call()
}

// raise gives a ticket a higher priority; it never loses one.
func (q *queue) raise(t *ticket, priority int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.priority = max(t.priority, priority)
}

// call calls those whose turn it is. mu is held.
func (q *queue) call() {
	for q.free > 0 && len(q.waiting) > 0 {
		first := 0
		for i, t := range q.waiting {
			if t.priority > q.waiting[first].priority {
				first = i
			}
		}
		close(q.waiting[first].turn)
		q.waiting = slices.Delete(q.waiting, first, first+1)
		q.free--
	}
}
