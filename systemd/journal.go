package systemd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// journalRoom bounds what waits for the journal, in bytes of messages and in
// entries: more is dropped.
const (
	journalRoom    = 4 << 20
	journalEntries = 8192
)

// The journal's priorities, which are syslog's.
const (
	PriorityCritical = int(journal.PriCrit)
	PriorityError    = int(journal.PriErr)
	PriorityWarning  = int(journal.PriWarning)
	PriorityInfo     = int(journal.PriInfo)
	PriorityDebug    = int(journal.PriDebug)
)

// Entry is one of the journal's. Fields are upper-case letters, digits and
// underscores.
type Entry struct {
	Message  string
	Priority int
	Fields   map[string]string
}

// Journal sends entries to systemd's journal, without ever making its callers
// wait: when the journal is slow and the room is used up, entries are dropped and
// counted, and the journal is told how many once it takes some again.
type Journal struct {
	queue   chan Entry
	room    atomic.Int64
	dropped atomic.Uint64
	// all counts every dropped entry.
	all  atomic.Uint64
	send func(Entry) error

	mu     sync.Mutex
	closed bool // guarded by mu
	done   chan struct{}
}

// UnderJournal says whether standard error goes to the journal, as it does of
// systemd's services.
func UnderJournal() bool {
	is, err := journal.StderrIsJournalStream()
	return err == nil && is
}

// NewJournal starts sending.
func NewJournal() *Journal { return newJournal(sendEntry) }

func newJournal(send func(Entry) error) *Journal {
	j := &Journal{queue: make(chan Entry, journalEntries), send: send, done: make(chan struct{})}
	go j.run()
	return j
}

func sendEntry(e Entry) error {
	return journal.Send(e.Message, journal.Priority(e.Priority), e.Fields)
}

// Put sends an entry, or drops it if there is no room. It may be called after
// Close, in vain.
func (j *Journal) Put(e Entry) {
	size := e.size()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.room.Load()+size > journalRoom {
		j.drop()
		return
	}
	select {
	case j.queue <- e:
		j.room.Add(size)
	default:
		j.drop()
	}
}

func (j *Journal) drop() {
	j.dropped.Add(1)
	j.all.Add(1)
}

// Dropped is how many entries were dropped since the start.
func (j *Journal) Dropped() uint64 { return j.all.Load() }

func (e Entry) size() int64 {
	size := len(e.Message)
	for name, value := range e.Fields {
		size += len(name) + len(value)
	}
	return int64(size)
}

func (j *Journal) run() {
	defer close(j.done)
	for e := range j.queue {
		err := j.send(e)
		j.room.Add(-e.size())
		if err != nil {
			j.drop()
			continue
		}
		if n := j.dropped.Swap(0); n > 0 {
			lost := Entry{
				Message:  fmt.Sprintf("%d messages to the journal were lost: it did not take them as fast as they came", n),
				Priority: PriorityWarning, Fields: map[string]string{fieldIdentifier: identifier},
			}
			if j.send(lost) != nil {
				j.dropped.Add(n)
			}
		}
	}
}

// Close sends what waits, as far as ctx allows.
func (j *Journal) Close(ctx context.Context) {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.queue)
	}
	j.mu.Unlock()
	select {
	case <-j.done:
	case <-ctx.Done():
	}
}

// Sync waits until what was put so far is sent, but not for long.
func (j *Journal) Sync() error {
	for deadline := time.Now().Add(time.Second); j.room.Load() > 0; {
		if time.Now().After(deadline) {
			return fmt.Errorf("the journal does not take podd's messages")
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
