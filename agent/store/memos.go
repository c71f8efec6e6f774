package store

import (
	"fmt"
	"strings"

	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"
)

type memoWrite struct {
	uid  types.UID
	memo []byte
	done chan error
}

// PutMemo stores what is remembered of a pod. Writes of many pods that come
// while the disk is busy share the next commit.
func (s *Store) PutMemo(uid types.UID, memo []byte) error {
	w := memoWrite{uid: uid, memo: memo, done: make(chan error, 1)}
	s.memo <- w
	return <-w.done
}

// writeMemos is the only writer of memos: it commits what has gathered.
func (s *Store) writeMemos() {
	defer close(s.done)
	for first := range s.memo {
		group := s.gather(first)
		err := s.db.Update(func(tx *bbolt.Tx) error {
			for _, w := range group {
				if err := tx.Bucket(bucketMemos).Put([]byte(w.uid), w.memo); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			err = fmt.Errorf("write what is remembered of a pod: %w", err)
		}
		for _, w := range group {
			w.done <- err
		}
	}
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

func parseKey(text string) (Key, error) {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) != 3 {
		return Key{}, fmt.Errorf("object %q: not a key", text)
	}
	return Key{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, nil
}
