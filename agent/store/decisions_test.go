package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// recorded are the decisions about a pod, as text.
func recorded(t *testing.T, s *store.Store, uid types.UID) []string {
	t.Helper()
	all, err := s.Decisions(uid)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, text := range all {
		texts = append(texts, string(text))
	}
	return texts
}

func TestDecisionsComeInOrderAndStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	s := open(t, path)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.PutMemo("u", []byte(`{}`), []byte("1"), []byte("2")))
	s.Note("u", []byte("3"))
	if got := fmt.Sprint(recorded(t, s, "u")); got != "[1 2 3]" {
		t.Errorf("before it is on disk: %s", got)
	}
	must(s.PutMemo("other", []byte(`{}`)))
	s.Note("u", []byte("4"))
	s.Note("stranger", []byte("5"))
	must(s.PutMemo("u", []byte(`{}`), []byte("6")))
	s.Note("u", []byte("7"))
	must(s.Close())
	s = open(t, path)
	defer s.Close()
	if got := fmt.Sprint(recorded(t, s, "u")); got != "[1 2 3 4 6 7]" {
		t.Errorf("after reopening: %s", got)
	}
	if got := recorded(t, s, "stranger"); len(got) > 0 {
		t.Errorf("of a pod that nobody remembers: %s", got)
	}
	must(s.Commit(store.Change{ForgetPods: []types.UID{"u", "never"}}))
	s.Note("u", []byte("8"))
	must(s.PutMemo("other", []byte(`{}`)))
	if got := recorded(t, s, "u"); len(got) > 0 {
		t.Errorf("of a pod that has left: %s", got)
	}
}

// TestNotesReachTheDisk: although no memo is written any more.
func TestNotesReachTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "podd.db")
		s := open(t, path)
		if err := s.PutMemo("u", []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		s.Note("u", []byte("noted"))
		onDisk := func() bool {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Contains(text, []byte("noted"))
		}
		if onDisk() {
			t.Error("it has a commit of its own")
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !onDisk() {
			t.Error("it is not on disk after 6 seconds")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDecisionsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	s := open(t, path)
	put := func(uid types.UID, text []byte) {
		if err := s.PutMemo(uid, []byte(`{}`), text); err != nil {
			t.Fatal(err)
		}
	}
	put("quiet", []byte("quiet"))
	const kib = 1 << 10
	for i := range 200 {
		put("loud", append(fmt.Appendf(nil, "%03d", i), make([]byte, kib-3)...))
	}
	loud := recorded(t, s, "loud")
	if n := len(loud); n < 50 || n > 64 || loud[n-1][:3] != "199" || loud[0][:3] != fmt.Sprintf("%03d", 200-n) {
		t.Errorf("%d are kept, from %s to %s", n, loud[0][:3], loud[n-1][:3])
	}
	if got := fmt.Sprint(recorded(t, s, "quiet")); got != "[quiet]" {
		t.Errorf("of another pod: %s", got)
	}
	put("loud", make([]byte, 100*kib))
	if got := recorded(t, s, "loud"); len(got) != 1 || len(got[0]) != 100*kib {
		t.Errorf("%d are kept", len(got))
	}
	if err := s.Close(); err != nil { // what is on disk is counted at start
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	for i := range 200 {
		put(types.UID(fmt.Sprint(i)), make([]byte, 60*kib))
		put(types.UID(fmt.Sprint(i)), make([]byte, kib))
	}
	total := 0
	for i := range 200 {
		all := recorded(t, s, types.UID(fmt.Sprint(i)))
		for _, text := range all {
			total += len(text)
		}
		if len(all) == 0 {
			t.Errorf("pod %d has none", i)
		}
	}
	if total > 8<<20 {
		t.Errorf("%d KiB are kept in all", total/kib)
	}
	if got := fmt.Sprint(recorded(t, s, "quiet")); got != "[quiet]" {
		t.Errorf("of the quiet pod: %s", got)
	}
}

// TestAFileWithoutDecisions: an older podd's file gets its bucket.
func TestAFileWithoutDecisions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("decisions")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	defer s.Close()
	if err := s.PutMemo("u", []byte(`{}`), []byte("1")); err != nil || len(recorded(t, s, "u")) != 1 {
		t.Error(err)
	}
}
