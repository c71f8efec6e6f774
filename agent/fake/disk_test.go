package fake_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/agent/store"
)

// TestTheDiskIsAsTheStore runs the same on the twin and on the real one.
func TestTheDiskIsAsTheStore(t *testing.T) {
	real, err := store.Open(filepath.Join(t.TempDir(), "podd.db"), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	twin := &fake.Disk{}
	for i, step := range []func(fake.Backing) error{
		func(fake.Backing) error { return nil },
		func(b fake.Backing) error {
			web, next := record("Pod", "web"), record("Pod", "web")
			web.Next, web.Force = &next, true
			return b.Commit(store.Change{Revision: 5, Put: []store.Record{web, record("ConfigMap", "cfg"), record("Pod", "db")}})
		},
		func(b fake.Backing) error { return b.PutMemo("u1", []byte(`{"a":1}`)) },
		func(b fake.Backing) error { return b.PutMemo("u2", []byte(`{}`)) },
		func(b fake.Backing) error {
			return b.PutMemo("u1", []byte(`{"a":2}`), []byte(`{"d":1}`), []byte(`{"d":2}`))
		},
		func(b fake.Backing) error { b.Note("u2", []byte(`{"d":3}`)); return nil },
		func(b fake.Backing) error {
			return b.PutEvents(map[string][]byte{"default/b": []byte(`{"b":1}`), "default/a": []byte(`{}`)}, []string{"default/none"})
		},
		func(b fake.Backing) error {
			return b.PutEvents(map[string][]byte{"default/c": []byte(`{}`)}, []string{"default/a"})
		},
		func(b fake.Backing) error {
			return b.Commit(store.Change{
				Put: []store.Record{record("Pod", "db")}, Remove: []store.Key{{Kind: "Pod", Namespace: "default", Name: "web"}},
				ForgetPods: []types.UID{"u1", "never"},
			})
		},
		func(b fake.Backing) error { return b.Commit(store.Change{Revision: 9}) },
	} {
		if err := step(real); err != nil {
			t.Fatal(err)
		}
		if err := step(twin); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(load(t, real), load(t, twin)); diff != "" {
			t.Fatalf("after step %d: %s", i, diff)
		}
		if diff := cmp.Diff(decisions(t, real), decisions(t, twin)); diff != "" {
			t.Fatalf("after step %d: %s", i, diff)
		}
	}
}

func decisions(t *testing.T, b fake.Backing) map[types.UID]string {
	t.Helper()
	all := map[types.UID]string{}
	for _, uid := range []types.UID{"u1", "u2", "never"} {
		found, err := b.Decisions(uid)
		if err != nil {
			t.Fatal(err)
		}
		all[uid] = fmt.Sprintf("%s", found)
	}
	return all
}

func record(kind, name string) store.Record {
	return store.Record{
		Key: store.Key{Kind: kind, Namespace: "default", Name: name}, Source: "api", Object: json.RawMessage(`{"kind":"` + kind + `"}`),
	}
}

func load(t *testing.T, b fake.Backing) store.State {
	t.Helper()
	st, err := b.Load()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(st.Records, func(a, b store.Record) int { return slices.Compare([]string{a.Key.String()}, []string{b.Key.String()}) })
	return st
}
