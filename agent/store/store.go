package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"k8s.io/apimachinery/pkg/types"
)

// The layout; a test compares it with the file:
//
//	meta/schema                 schema version, big-endian uint64; schema.go brings older ones on
//	meta/writer                 version of the podd that opened it last
//	meta/revision               no revision at or above this was given out
//	objects/<kind>/<ns>/<name>  Record as JSON
//	memos/<uid>                 what the agent remembers of a pod, as JSON
//	events/<ns>/<name>          v1.Event as JSON
//	decisions/<uid>/<number>    pod.Account as JSON; numbers count up, big-endian uint64
var (
	bucketMeta    = []byte("meta")
	bucketObjects = []byte("objects")
	bucketMemos   = []byte("memos")
	bucketEvents  = []byte("events")
	// bucketDecisions has a bucket for each pod.
	bucketDecisions = []byte("decisions")
	keySchema       = []byte("schema")
	keyRevision     = []byte("revision")
	keyWriter       = []byte("writer")
)

// Key names one object.
type Key struct {
	Kind, Namespace, Name string
}

func (k Key) String() string { return k.Kind + "/" + k.Namespace + "/" + k.Name }

// Record is one object as it is kept.
type Record struct {
	Key Key `json:"-"`
	// Source owns it: "api", or a manifest file.
	Source string `json:"source"`
	// Object is Kubernetes JSON, defaulted.
	Object json.RawMessage `json:"object"`
	// Force is set when a deletion is to kill at once.
	Force bool `json:"force,omitempty"`
	// Next is the object of the same name that takes its place once it is
	// wholly gone.
	Next *Record `json:"next,omitempty"`
}

// State is everything, as read at start.
type State struct {
	Records []Record
	Memos   map[types.UID]json.RawMessage
	Events  []json.RawMessage
	// Revision is higher than any that was given out before.
	Revision uint64
}

// Store keeps on disk what must not be lost. All its methods may be called by
// many goroutines; a write is on disk when the call returns.
type Store struct {
	db        *bbolt.DB
	memo      chan memoWrite
	done      chan struct{}
	decisions decisions
}

// Open opens or makes the store, for a podd of the given version. An older podd's
// is brought to the present schema, and kept as it was beside it; a newer one's is
// refused.
func Open(path, version string) (*Store, error) { return openWith(path, version, migrations()) }

func openWith(path, version string, steps []migration) (*Store, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 5 * time.Second, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = errors.New("another podd has it open")
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	if err := errors.Join(bring(db, version, steps), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), db.Close())
	}
	s := &Store{db: db, memo: make(chan memoWrite), done: make(chan struct{}), decisions: newDecisions()}
	if err := db.View(s.decisions.measure); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), db.Close())
	}
	go s.writeMemos()
	return s, nil
}

// syncDir has a new file's name on disk, too: bbolt sees to its content only.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Close closes the store when no write is under way any more.
func (s *Store) Close() error {
	close(s.memo)
	<-s.done
	return s.db.Close()
}

// Load reads everything.
func (s *Store) Load() (State, error) {
	st := State{Memos: map[types.UID]json.RawMessage{}}
	err := s.db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucketMeta).Get(keyRevision); v != nil {
			st.Revision = binary.BigEndian.Uint64(v)
		}
		if err := tx.Bucket(bucketObjects).ForEach(func(k, v []byte) error {
			rec, err := decode(k, v)
			st.Records = append(st.Records, rec)
			return err
		}); err != nil {
			return err
		}
		if err := tx.Bucket(bucketMemos).ForEach(func(k, v []byte) error {
			st.Memos[types.UID(k)] = clone(v)
			return nil
		}); err != nil {
			return err
		}
		return tx.Bucket(bucketEvents).ForEach(func(_, v []byte) error {
			st.Events = append(st.Events, clone(v))
			return nil
		})
	})
	if err != nil {
		return State{}, fmt.Errorf("read store: %w", err)
	}
	return st, nil
}

// clone: what bbolt hands out is valid within its transaction only.
func clone(v []byte) json.RawMessage { return append(json.RawMessage(nil), v...) }

func decode(k, v []byte) (Record, error) {
	var rec Record
	if err := json.Unmarshal(v, &rec); err != nil {
		return rec, fmt.Errorf("object %s: %w", k, err)
	}
	key, err := parseKey(string(k))
	rec.Key = key
	return rec, err
}

// Change is one transaction.
type Change struct {
	// Revision is a bound that no given-out revision reaches.
	Revision uint64
	Put      []Record
	Remove   []Key
	// ForgetPods removes the memos of these pods, and the decisions about them.
	ForgetPods []types.UID
}

// Commit stores a change: all of it or nothing.
func (s *Store) Commit(c Change) error {
	err := s.update(func(tx *bbolt.Tx, sizes sizes) error {
		if c.Revision > 0 {
			if err := tx.Bucket(bucketMeta).Put(keyRevision, number(c.Revision)); err != nil {
				return err
			}
		}
		objects := tx.Bucket(bucketObjects)
		for _, rec := range c.Put {
			text, err := json.Marshal(rec)
			if err != nil {
				return err
			}
			if err := objects.Put([]byte(rec.Key.String()), text); err != nil {
				return err
			}
		}
		for _, key := range c.Remove {
			if err := objects.Delete([]byte(key.String())); err != nil {
				return err
			}
		}
		for _, uid := range c.ForgetPods {
			if err := errors.Join(tx.Bucket(bucketMemos).Delete([]byte(uid)), forgetDecisions(tx, sizes, uid)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write store: %w", err)
	}
	return nil
}

// PutEvents stores events and removes others, by key.
func (s *Store) PutEvents(put map[string][]byte, remove []string) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketEvents)
		for k, v := range put {
			if err := b.Put([]byte(k), v); err != nil {
				return err
			}
		}
		for _, k := range remove {
			if err := b.Delete([]byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

func parseKey(text string) (Key, error) {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) != 3 {
		return Key{}, fmt.Errorf("object %q: not a key", text)
	}
	return Key{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, nil
}
