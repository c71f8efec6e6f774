package store

import (
	"fmt"

	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"
)

type memoWrite struct {
	uid       types.UID
	memo      []byte
	decisions [][]byte
	done      chan error
}

// PutMemo stores what is remembered of a pod, and with it, or not at all,
// decisions about it. Writes of many pods that come
// while the disk is busy share the next commit: nobody waits for company, as
// with bbolt's Batch, which takes 7 times as long for one writer and 3 times for
// a hundred (BenchmarkPutMemo).
func (s *Store) PutMemo(uid types.UID, memo []byte, decisions ...[]byte) error {
	w := memoWrite{uid: uid, memo: memo, decisions: decisions, done: make(chan error, 1)}
	s.memo <- w
	return <-w.done
}

// writeMemos is the only writer of memos and decisions: it commits what has
// gathered, and decisions that changed no memo when they have waited long enough.
func (s *Store) writeMemos() {
	defer close(s.done)
	for {
		select {
		case first, ok := <-s.memo:
			if !ok {
				_ = s.writeGroup(nil) // they may be lost
				return
			}
			group := s.gather(first)
			err := s.writeGroup(group)
			for _, w := range group {
				w.done <- err
			}
		case <-s.decisions.due:
			_ = s.writeGroup(nil) // they may be lost
		}
	}
}

// writeGroup commits memos with their decisions, and the decisions that wait.
func (s *Store) writeGroup(group []memoWrite) error {
	s.decisions.writing.Lock()
	defer s.decisions.writing.Unlock()
	notes := s.decisions.take()
	if len(group)+len(notes) == 0 {
		return nil
	}
	err := s.update(func(tx *bbolt.Tx, sizes sizes) error {
		for _, n := range notes {
			if err := putDecision(tx, sizes, n.uid, n.text); err != nil {
				return err
			}
		}
		for _, w := range group {
			if err := tx.Bucket(bucketMemos).Put([]byte(w.uid), w.memo); err != nil {
				return err
			}
			for _, text := range w.decisions {
				if err := putDecision(tx, sizes, w.uid, text); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write what is remembered of a pod: %w", err)
	}
	return nil
}

func (s *Store) gather(first memoWrite) []memoWrite {
	group := []memoWrite{first}
	for {
		select {
		case w, ok := <-s.memo:
			if !ok {
				return group
			}
			group = append(group, w)
		default:
			return group
		}
	}
}
