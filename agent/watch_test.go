package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/podd-io/podd/agent/store"
)

func configMap(name string, labels map[string]string) *Entry {
	c := &corev1.ConfigMap{}
	c.Namespace, c.Name, c.Labels = "default", name, labels
	return &Entry{Key: store.Key{Kind: KindConfigMap, Namespace: "default", Name: name}, Source: SourceAPI, Object: c}
}

func everything(*Entry) bool { return true }

// describe tells a queue in short: "+a" added, "~a" modified, "-a" removed.
func describe(queue []change) string {
	out := ""
	for _, c := range queue {
		switch {
		case c.old == nil:
			out += " +" + c.new.Key.Name
		case c.new == nil:
			out += " -" + c.old.Key.Name
		default:
			out += " ~" + c.new.Key.Name
		}
	}
	return out
}

func TestModificationsMergeAndOthersDoNot(t *testing.T) {
	w := newWatch(everything)
	a1, a2, a3, b := configMap("a", nil), configMap("a", nil), configMap("a", nil), configMap("b", nil)
	for i, c := range []change{{new: a1}, {old: a1, new: a2}, {new: b}, {old: a2, new: a3}, {old: a3}, {new: a1}} {
		c.revision = uint64(i + 1)
		if !w.push(c) {
			t.Fatal("the reader is not too slow yet")
		}
	}
	queue, revision, ok := w.take()
	if got := describe(queue); got != " +a +b ~a -a +a" || revision != 6 || !ok {
		t.Errorf("queue%s at %d, %v", got, revision, ok)
	}
	if queue[2].new != a3 {
		t.Error("the merged modification is not the newest")
	}
}

func TestSelectorsTurnChangesIntoArrivalsAndDepartures(t *testing.T) {
	w := newWatch(func(e *Entry) bool { return e.Object.GetLabels()["app"] == "web" })
	out, in := configMap("a", nil), configMap("a", map[string]string{"app": "web"})
	for i, c := range []change{{new: out}, {old: out, new: in}, {old: in, new: out}, {old: out}} {
		c.revision = uint64(i + 1)
		w.push(c)
	}
	if queue, _, _ := w.take(); describe(queue) != " +a -a" {
		t.Errorf("queue%s", describe(queue))
	}
}

func TestAReaderThatNeverReadsIsEnded(t *testing.T) {
	w := newWatch(everything)
	pushed := 0
	for w.push(change{revision: uint64(pushed + 1), new: configMap(fmt.Sprint(pushed), nil)}) {
		if pushed++; pushed > 2*watchBound {
			t.Fatal("the queue grows without bound")
		}
	}
	if _, _, ok := w.take(); ok {
		t.Error("it is not told that it was too slow")
	}
}

// TestAnyReaderEndsUpWithTheSamePicture: whenever a reader reads, what it has
// put together from the changes is what there is.
func TestAnyReaderEndsUpWithTheSamePicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatch(everything)
		actual, seen := map[string]*Entry{}, map[string]*Entry{}
		for revision := range uint64(rapid.IntRange(1, 60).Draw(t, "changes")) {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			c := change{revision: revision + 1, old: actual[name]}
			if c.old == nil || rapid.Bool().Draw(t, "keep") {
				c.new = configMap(name, nil)
				actual[name] = c.new
			} else {
				delete(actual, name)
			}
			w.push(c)
			if rapid.IntRange(0, 4).Draw(t, "read") == 0 {
				follow(t, w, seen)
				same(t, actual, seen)
			}
		}
		follow(t, w, seen)
		same(t, actual, seen)
	})
}

func follow(t *rapid.T, w *watch, seen map[string]*Entry) {
	queue, _, _ := w.take()
	last := uint64(0)
	for _, c := range queue {
		if c.revision <= last {
			t.Fatalf("revision %d after %d", c.revision, last)
		}
		last = c.revision
		switch {
		case c.old == nil && seen[c.new.Key.Name] != nil:
			t.Fatalf("%s is added, and is there", c.new.Key.Name)
		case c.new == nil:
			delete(seen, c.old.Key.Name)
		default:
			seen[c.new.Key.Name] = c.new
		}
	}
}

func same(t *rapid.T, actual, seen map[string]*Entry) {
	if len(actual) != len(seen) {
		t.Fatalf("there are %d objects, and %d are seen", len(actual), len(seen))
	}
	for name, e := range actual {
		if seen[name] != e {
			t.Fatalf("%s is not seen as it is", name)
		}
	}
}

// runningKeeper is one on a store of its own.
func runningKeeper(t *testing.T) *keeper {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "podd.db"), "test")
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(s, zaptest.NewLogger(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { k.run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func put(t *testing.T, k *keeper, entries ...*Entry) {
	t.Helper()
	if err := k.do(t.Context(), func() error { return k.commit(entries, nil, store.Change{}) }); err != nil {
		t.Fatal(err)
	}
}

func TestAWatchIsResumedOrToldThatItIsTooLate(t *testing.T) {
	k := runningKeeper(t)
	put(t, k, configMap("a", nil))
	from := k.now.Load().Revision
	put(t, k, configMap("b", nil), configMap("c", nil))
	w, _, ok, err := k.watchFrom(t.Context(), everything, &from)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if queue, _, _ := w.take(); describe(queue) != " +b +c" {
		t.Errorf("resumed with%s", describe(queue))
	}
	future := k.now.Load().Revision + 1
	if _, _, ok, _ := k.watchFrom(t.Context(), everything, &future); ok {
		t.Error("a revision that was never given out is accepted")
	}
	for range 2*historyLength + 1 {
		if err := k.do(t.Context(), func() error { k.replace(configMap("a", nil)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok, _ := k.watchFrom(t.Context(), everything, &from); ok {
		t.Error("a revision of long ago is accepted")
	}
}

func TestRevisionsOnlyGrowEvenAcrossRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podd.db")
	last := uint64(0)
	for range 3 {
		s, err := store.Open(path, "test")
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		k := newKeeper(s, zaptest.NewLogger(t))
		if err := k.load(st, decodeStored); err != nil {
			t.Fatal(err)
		}
		if now := k.now.Load().Revision; now < last {
			t.Errorf("revision %d after %d", now, last)
		}
		k.replace(configMap("a", nil)) // not written, and counted all the same
		if err := k.commit([]*Entry{configMap("b", nil)}, nil, store.Change{}); err != nil {
			t.Fatal(err)
		}
		last = k.now.Load().Revision
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
