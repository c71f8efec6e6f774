package fake

import (
	"context"
	"encoding/json"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// Session is one life of podd on the world: everything that it does goes
// through the ports of its session, and nothing any more once it was killed.
type Session struct {
	world  *World
	once   sync.Once
	killed chan struct{}
}

// Begin begins a life.
func (w *World) Begin() *Session { return &Session{world: w, killed: make(chan struct{})} }

// Kill ends it, as SIGKILL does: what had an effect had it, everything else has
// none, the disk included.
func (s *Session) Kill() { s.once.Do(func() { close(s.killed) }) }

// Killed is closed when the session was killed.
func (s *Session) Killed() <-chan struct{} { return s.killed }

// The ports of package agent, by their names.
func (s *Session) Images() Images         { return Images{s} }
func (s *Session) Sandboxes() Sandboxes   { return Sandboxes{s} }
func (s *Session) Containers() Containers { return Containers{s} }
func (s *Session) Dialer() Dialer         { return Dialer{s} }
func (s *Session) Volumes() Volumes       { return Volumes{s} }
func (s *Session) Cgroups() Cgroups       { return Cgroups{s} }
func (s *Session) Network() Network       { return Network{s} }
func (s *Session) Logs() Logs             { return Logs{s} }
func (s *Session) Prober() Prober         { return Prober{s} }
func (s *Session) Observer() Observer     { return Observer{s} }
func (s *Session) Host() Host             { return Host{s} }

// Disks tell what Fill said, and what was removed since.
func (s *Session) Disks() Disks { return Disks{s} }

// Backing is what Store keeps things in.
type Backing interface {
	Load() (store.State, error)
	Commit(c store.Change) error
	PutMemo(uid types.UID, memo []byte, decisions ...[]byte) error
	Note(uid types.UID, decision []byte)
	Decisions(uid types.UID) ([]json.RawMessage, error)
	PutEvents(put map[string][]byte, remove []string) error
}

// Store has writes fail as the world's faults say, and as a dead podd's do.
func (s *Session) Store(b Backing) Store { return Store{s, b} }

// Store implements agent.Store.
type Store struct {
	s *Session
	b Backing
}

// write is an effect whose doing is not the world's.
func (d Store) write(kind pod.Kind, uid types.UID, do func() error) error {
	ctx := context.Background() // a disk has no deadline; a killed session ends a hanging one
	op, fault, latency := d.s.world.begin(kind, uid, "")
	defer d.s.world.end(op)
	if err := d.s.pass(ctx, latency); err != nil {
		return err
	}
	if !fault.After {
		if err := d.s.fail(ctx, fault); err != nil {
			return err
		}
	}
	err := d.s.writes(do)
	if fault.After {
		if failed := d.s.fail(ctx, fault); failed != nil {
			return failed
		}
	}
	return err
}

func (s *Session) writes(do func() error) error {
	select {
	case <-s.killed:
		return errKilled
	default:
		return do()
	}
}

// Load implements agent.Store.
func (d Store) Load() (st store.State, err error) {
	err = d.write(Load, "", func() error {
		st, err = d.b.Load()
		return err
	})
	return st, err
}

// Commit implements agent.Store.
func (d Store) Commit(c store.Change) error {
	return d.write(Commit, "", func() error { return d.b.Commit(c) })
}

// PutMemo implements agent.Store.
func (d Store) PutMemo(uid types.UID, memo []byte, decisions ...[]byte) error {
	return d.write(PutMemo, uid, func() error { return d.b.PutMemo(uid, memo, decisions...) })
}

// Note implements agent.Store.
func (d Store) Note(uid types.UID, decision []byte) {
	_ = d.s.writes(func() error { // a dead podd notes nothing
		d.b.Note(uid, decision)
		return nil
	})
}

// Decisions implements agent.Store.
func (d Store) Decisions(uid types.UID) ([]json.RawMessage, error) { return d.b.Decisions(uid) }

// PutEvents implements agent.Store.
func (d Store) PutEvents(put map[string][]byte, remove []string) error {
	return d.write(PutEvents, "", func() error { return d.b.PutEvents(put, remove) })
}
