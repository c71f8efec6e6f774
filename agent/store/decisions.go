package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"
)

// The bounds on recorded decisions, in bytes: of one pod, and in all. Beyond
// them the oldest go, of the pod that has most.
const (
	maxPodDecisions = 64 << 10
	maxDecisions    = 8 << 20
	// decisionsFlush is how long a decision that changes no memo may be in
	// memory only; maxNotes is how many are, before that.
	decisionsFlush = 5 * time.Second
	maxNotes       = 1000
)

// note is a decision that waits for the next commit.
type note struct {
	uid  types.UID
	text []byte
}

// decisions are what is in memory of recorded decisions.
type decisions struct {
	// due ticks when notes have waited long enough.
	due chan struct{}

	// writing is held while notes go to disk, so that who reads finds each once.
	writing sync.RWMutex

	mu    sync.Mutex
	notes []note
	// sizes is what is on disk.
	sizes sizes
}

// sizes are how many bytes of decisions each pod has; the empty uid is for all.
type sizes map[types.UID]int

func (s sizes) add(uid types.UID, n int) {
	s[""] += n
	if s[uid] += n; s[uid] <= 0 {
		delete(s, uid)
	}
}

// most is the pod that has most.
func (s sizes) most() types.UID {
	var most types.UID
	for uid, n := range s {
		if uid != "" && (most == "" || n > s[most] || n == s[most] && uid < most) {
			most = uid
		}
	}
	return most
}

func newDecisions() decisions { return decisions{due: make(chan struct{}, 1), sizes: sizes{}} }

// measure takes over what is on disk.
func (d *decisions) measure(tx *bbolt.Tx) error {
	return tx.Bucket(bucketDecisions).ForEachBucket(func(uid []byte) error {
		return tx.Bucket(bucketDecisions).Bucket(uid).ForEach(func(_, v []byte) error {
			d.sizes.add(types.UID(uid), len(v))
			return nil
		})
	})
}

// Note records a decision that changes no memo: it goes to disk with the next
// memo, whosoever's, or after decisionsFlush. Until then a crash loses it.
func (s *Store) Note(uid types.UID, decision []byte) {
	d := &s.decisions
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.notes) == 0 {
		time.AfterFunc(decisionsFlush, d.tick)
	}
	if d.notes = append(d.notes, note{uid, decision}); len(d.notes) >= maxNotes {
		d.tick()
	}
}

func (d *decisions) tick() {
	select {
	case d.due <- struct{}{}:
	default:
	}
}

func (d *decisions) take() []note {
	d.mu.Lock()
	defer d.mu.Unlock()
	notes := d.notes
	d.notes = nil
	return notes
}

// update is a transaction that may change decisions.
func (s *Store) update(do func(*bbolt.Tx, sizes) error) error {
	var after sizes
	return s.db.Update(func(tx *bbolt.Tx) error {
		s.decisions.mu.Lock()
		after = maps.Clone(s.decisions.sizes)
		s.decisions.mu.Unlock()
		if err := do(tx, after); err != nil {
			return err
		}
		tx.OnCommit(func() { // bbolt has one writer at a time
			s.decisions.mu.Lock()
			s.decisions.sizes = after
			s.decisions.mu.Unlock()
		})
		return nil
	})
}

// putDecision adds one, and lets the oldest go where there are too many. A pod
// of which nothing is remembered has left meanwhile.
func putDecision(tx *bbolt.Tx, sizes sizes, uid types.UID, text []byte) error {
	if tx.Bucket(bucketMemos).Get([]byte(uid)) == nil {
		return nil
	}
	b, err := tx.Bucket(bucketDecisions).CreateBucketIfNotExists([]byte(uid))
	if err != nil {
		return err
	}
	n, err := b.NextSequence()
	if err != nil {
		return err
	}
	if err := b.Put(number(n), text); err != nil {
		return err
	}
	sizes.add(uid, len(text))
	if sizes[uid] > maxPodDecisions {
		if err := trim(tx, sizes, uid, max(maxPodDecisions*9/10, len(text))); err != nil {
			return err
		}
	}
	for sizes[""] > maxDecisions {
		most := sizes.most()
		if err := trim(tx, sizes, most, sizes[most]*9/10); err != nil {
			return err
		}
	}
	return nil
}

// trim lets the oldest decisions about a pod go, until they have so many bytes
// at most.
func trim(tx *bbolt.Tx, sizes sizes, uid types.UID, size int) error {
	c := tx.Bucket(bucketDecisions).Bucket([]byte(uid)).Cursor()
	for k, v := c.First(); k != nil && sizes[uid] > size; k, v = c.First() {
		n := len(v)
		if err := c.Delete(); err != nil {
			return err
		}
		sizes.add(uid, -n)
	}
	return nil
}

func forgetDecisions(tx *bbolt.Tx, sizes sizes, uid types.UID) error {
	sizes.add(uid, -sizes[uid])
	if all := tx.Bucket(bucketDecisions); all.Bucket([]byte(uid)) != nil {
		return all.DeleteBucket([]byte(uid))
	}
	return nil
}

// Decisions are those recorded about a pod, the oldest first.
func (s *Store) Decisions(uid types.UID) ([]json.RawMessage, error) {
	s.decisions.writing.RLock()
	defer s.decisions.writing.RUnlock()
	var all []json.RawMessage
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDecisions).Bucket([]byte(uid))
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, v []byte) error {
			all = append(all, clone(v))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the decisions about a pod: %w", err)
	}
	s.decisions.mu.Lock()
	defer s.decisions.mu.Unlock()
	for _, n := range s.decisions.notes {
		if n.uid == uid {
			all = append(all, n.text)
		}
	}
	return all, nil
}
