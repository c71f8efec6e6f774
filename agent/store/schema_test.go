package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

var golden = flag.Bool("golden", false, "write a store of the present schema into testdata; once for each schema, before it gets a successor")

// sample fills a store, and tells what Load has to find in it whatever schema it
// was written in.
func sample(t *testing.T, s *store.Store) {
	t.Helper()
	rec := record("web")
	rec.Object = json.RawMessage(`{"kind":"Pod","metadata":{"name":"web","namespace":"default","uid":"u1"}}`)
	if err := errors.Join(
		s.Commit(store.Change{Revision: 1000, Put: []store.Record{rec}}),
		s.PutMemo("u1", []byte(`{"attempts":{"main":3}}`)),
		s.PutEvents(map[string][]byte{"default/web.1": []byte(`{"kind":"Event"}`)}, nil),
	); err != nil {
		t.Fatal(err)
	}
}

func hasSample(t *testing.T, path string, revision uint64) {
	t.Helper()
	s := open(t, path)
	defer s.Close()
	st, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := store.State{
		Revision: revision,
		Records: []store.Record{{
			Key: store.Key{Kind: "Pod", Namespace: "default", Name: "web"}, Source: "api",
			Object: json.RawMessage(`{"kind":"Pod","metadata":{"name":"web","namespace":"default","uid":"u1"}}`),
		}},
		Memos:  map[types.UID]json.RawMessage{"u1": json.RawMessage(`{"attempts":{"main":3}}`)},
		Events: []json.RawMessage{json.RawMessage(`{"kind":"Event"}`)},
	}
	if diff := cmp.Diff(want, st); diff != "" {
		t.Error(diff)
	}
}

// TestStoresOfAllSchemasAreOpened: testdata has one of each.
func TestStoresOfAllSchemasAreOpened(t *testing.T) {
	if *golden {
		s := open(t, fmt.Sprintf("testdata/schema%d.db", store.Schema()))
		sample(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := uint64(1); n <= store.Schema(); n++ {
		old, err := os.ReadFile(fmt.Sprintf("testdata/schema%d.db", n))
		if err != nil {
			t.Fatalf("every schema has a store in testdata (-golden writes the present one): %v", err)
		}
		path := filepath.Join(t.TempDir(), "podd.db")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		hasSample(t, path, 1000)
	}
}

func put(key, value string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte(key), []byte(value)) }
}

func TestMigrationsGoForwardAndLeaveACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	s := open(t, path)
	sample(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// One that fails changes nothing.
	broken := errors.New("broken")
	if _, err := store.OpenWith(path, "v3", put("second", "x"), func(*bbolt.Tx) error { return broken }); !errors.Is(err, broken) || !strings.Contains(err.Error(), "from schema 2") {
		t.Errorf("a migration that fails: %v", err)
	}
	hasSample(t, path, 1000)
	s, err := store.OpenWith(path, "v3", put("second", "x"), put("third", "y"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(keys(t, path), " ")
	for _, key := range []string{"meta/second", "meta/third", "objects/Pod/default/web", "memos/u1"} {
		if !strings.Contains(got, key) {
			t.Errorf("after the migrations there is no %s: %s", key, got)
		}
	}
	// The second start has nothing to do, and the copy is of the store before.
	if s, err = store.OpenWith(path, "v3", func(*bbolt.Tx) error { return broken }, func(*bbolt.Tx) error { return broken }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	hasSample(t, path+".schema1", 1000)
	if stat, err := os.Stat(path + ".schema1"); err != nil || stat.Mode() != 0o600 {
		t.Errorf("the copy: %v, %v", stat, err)
	}
	// podd as it is refuses it, and says who wrote it.
	if _, err := store.Open(path, "v1"); err == nil || !strings.Contains(err.Error(), "a newer podd, v3, (schema 3, this one knows 1)") {
		t.Errorf("a store of a newer podd: %v", err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "podd.db"), filepath.Join(dir, "backup")
	s, err := store.Open(path, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	sample(t, s)
	var copied bytes.Buffer
	if err := s.Backup(&copied); err != nil {
		t.Fatal(err)
	}
	later := record("later")
	if err := errors.Join(s.Commit(store.Change{Revision: 2000, Put: []store.Record{later}}), s.Close(), os.WriteFile(backup, copied.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Restore(backup, path, false); !errors.Is(err, store.ErrThere) {
		t.Errorf("over a store, without force: %v", err)
	}
	want := store.Contents{Objects: 1, Pods: 1, Writer: "v1.2.3"}
	if got, err := store.Restore(backup, path, true); err != nil || got != want {
		t.Errorf("restored %+v, %v", got, err)
	}
	hasSample(t, path, 1000+1<<32) // beyond what was given out after the backup
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 3 {
		t.Errorf("there are %q: podd.db, the one before, and the backup are wanted", left)
	}
	old := open(t, path+".before-restore")
	defer old.Close()
	if st, err := old.Load(); err != nil || len(st.Records) != 2 {
		t.Errorf("the store that was replaced: %d objects, %v", len(st.Records), err)
	}
}

func TestABadBackupReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "podd.db")
	s := open(t, path)
	sample(t, s)
	var good bytes.Buffer
	if err := errors.Join(s.Backup(&good), s.Close()); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Replace(good.Bytes(), []byte("web"), []byte("wEb"), 1)
	n, err := store.OpenWith(filepath.Join(dir, "newer"), "v9", put("x", "x"))
	if err != nil {
		t.Fatal(err)
	}
	var newer bytes.Buffer
	if err := errors.Join(n.Backup(&newer), n.Close()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"an empty file":         {nil, "its checksum is wrong"},
		"something else":        {bytes.Repeat([]byte("no store"), 9000), "its checksum is wrong"},
		"one that is cut short": {good.Bytes()[:good.Len()/2], "its checksum is wrong"},
		"one that is damaged":   {flipped, "its checksum is wrong"},
		"a newer podd's":        {newer.Bytes(), "a newer podd, v9, (schema 2"},
	} {
		file := filepath.Join(dir, "bad")
		if err := os.WriteFile(file, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Restore(file, path, true); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	hasSample(t, path, 1000)
	if _, err := os.Stat(path + ".restoring"); err == nil {
		t.Error("a staged file is left")
	}
}
