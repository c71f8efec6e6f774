package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// TestTheLayoutIsAsDrawn compares the drawing in store.go with a file that has
// everything in it.
func TestTheLayoutIsAsDrawn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	s := open(t, path)
	rec := record("<name>")
	rec.Key = store.Key{Kind: "<kind>", Namespace: "<ns>", Name: "<name>"}
	err := errors.Join(
		s.Commit(store.Change{Revision: 1, Put: []store.Record{rec}}),
		s.PutMemo("<uid>", []byte(`{}`), []byte(`{}`)),
		s.PutEvents(map[string][]byte{"<ns>/<name>": []byte(`{}`)}, nil),
		s.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(drawn(t), keys(t, path)); diff != "" {
		t.Error(diff)
	}
}

// drawn are the keys in the comment.
func drawn(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("store.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(source)) {
		if rest, ok := strings.CutPrefix(line, "//\t"); ok {
			all = append(all, strings.Fields(rest)[0])
		}
	}
	slices.Sort(all)
	return all
}

func keys(t *testing.T, path string) []string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all []string
	if err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if v != nil {
					all = append(all, string(bucket)+"/"+string(k))
					return nil
				}
				return b.Bucket(k).ForEach(func([]byte, []byte) error {
					all = append(all, string(bucket)+"/"+string(k)+"/<number>")
					return nil
				})
			})
		})
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// smallDisk is a file system of its own, with room for little.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Fatalf("mount a small file system (the tests run as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskHalfAppliesNothing(t *testing.T) {
	dir := smallDisk(t)
	s := open(t, filepath.Join(dir, "podd.db"))
	defer s.Close()
	if err := s.Commit(store.Change{Revision: 1, Put: []store.Record{record("first")}}); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	big := json.RawMessage(`"` + strings.Repeat("x", 60<<10) + `"`)
	full := store.Change{Revision: 2, Remove: []store.Key{record("first").Key}}
	for i := range 3 {
		rec := record(fmt.Sprint(i))
		rec.Object = big
		full.Put = append(full.Put, rec)
	}
	for range 3 {
		err := s.Commit(full)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "podd.db") {
			t.Fatalf("commit on a full disk: %v", err)
		}
		if err := s.PutMemo("u", bytes.Repeat([]byte("x"), 100<<10)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("memo on a full disk: %v", err)
		}
	}
	st, err := s.Load()
	if err != nil || st.Revision != 1 || len(st.Records) != 1 || st.Records[0].Key.Name != "first" || len(st.Memos) > 0 {
		t.Errorf("%+v %v", st, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(full); err != nil {
		t.Errorf("commit when there is room again: %v", err)
	}
	if st, err := s.Load(); err != nil || st.Revision != 2 || len(st.Records) != 3 {
		t.Errorf("%d records, %v", len(st.Records), err)
	}
}

func TestADamagedFileIsNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	if err := os.WriteFile(path, bytes.Repeat([]byte("no store"), 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, "test"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v", err)
	}
}

func TestADamagedObjectIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	s := open(t, path)
	if err := errors.Join(s.Commit(store.Change{Put: []store.Record{record("web")}}), s.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("objects")).Put([]byte("Pod/default/web"), []byte("{"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "Pod/default/web") {
		t.Errorf("Load = %v", err)
	}
}

func TestAStoreInUseIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is waited for a moment
		path := filepath.Join(t.TempDir(), "podd.db")
		s := open(t, path)
		defer s.Close()
		if _, err := store.Open(path, "test"); err == nil || !strings.Contains(err.Error(), "another podd") {
			t.Errorf("Open = %v", err)
		}
	})
}

// TestWhatIsReadStays: what Load gives is not the file's own memory.
func TestWhatIsReadStays(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "podd.db"))
	if err := s.PutMemo("u", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	st, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := s.PutMemo(types.UID(fmt.Sprint(i)), bytes.Repeat([]byte("x"), 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if string(st.Memos["u"]) != `{"a":1}` {
		t.Errorf("%s", st.Memos["u"])
	}
}
