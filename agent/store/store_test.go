package store_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(path, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(name string) store.Record {
	return store.Record{
		Key:    store.Key{Kind: "Pod", Namespace: "default", Name: name},
		Source: "api", Object: json.RawMessage(`{"kind":"Pod"}`),
	}
}

func TestWhatWasCommittedIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	s := open(t, path)
	web, db := record("web"), record("db")
	next := record("web")
	web.Next = &next
	if err := s.Commit(store.Change{Revision: 7, Put: []store.Record{web, db}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutMemo("u1", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := s.PutEvents(map[string][]byte{"default/e1": []byte(`{}`), "default/e2": []byte(`{}`)}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(store.Change{Remove: []store.Key{db.Key}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	st, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	web.Next.Key = store.Key{} // it is the outer record's
	want := store.State{
		Records: []store.Record{web}, Revision: 7,
		Memos:  map[types.UID]json.RawMessage{"u1": json.RawMessage(`{"a":1}`)},
		Events: []json.RawMessage{json.RawMessage(`{}`), json.RawMessage(`{}`)},
	}
	if diff := cmp.Diff(want, st); diff != "" {
		t.Error(diff)
	}
}

func TestForgettingAPodRemovesItsMemo(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "podd.db"))
	defer s.Close()
	if err := s.PutMemo("u1", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(store.Change{ForgetPods: []types.UID{"u1", "never-there"}}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Load(); err != nil || len(st.Memos) != 0 {
		t.Errorf("memos = %v, %v", st.Memos, err)
	}
}

func TestManyWritersOfMemosAreAllServed(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "podd.db"))
	defer s.Close()
	var writers sync.WaitGroup
	for i := range 50 {
		writers.Go(func() {
			if err := s.PutMemo(types.UID(fmt.Sprint(i)), []byte(`{}`)); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if st, err := s.Load(); err != nil || len(st.Memos) != 50 {
		t.Errorf("%d memos, %v", len(st.Memos), err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 0, 0, 0, 0, 99})
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, "test"); err == nil || !strings.Contains(err.Error(), "newer podd") {
		t.Errorf("Open = %v, want a refusal", err)
	}
}
