package agent

import "testing"

func TestModificationsOfOneObjectTakeNoRoom(t *testing.T) {
	w := newWatch(everything)
	old := configMap("a", nil)
	for revision := uint64(1); revision < 100_000; revision++ {
		now := configMap("a", nil)
		if !w.push(change{revision: revision, old: old, new: now}) {
			t.Fatal("it is given up")
		}
		old = now
	}
	if queue, _, ok := w.take(); !ok || len(queue) != 1 || queue[0].new != old {
		t.Errorf("it gets %d changes, ok %v", len(queue), ok)
	}
}

func TestHistoryTellsWhatItHasAndWhatNot(t *testing.T) {
	h := history{oldest: 10}
	const total = 5*historyLength + 17
	for i := range uint64(total) {
		h.add(change{revision: 11 + i})
		if len(h.changes) > 2*historyLength {
			t.Fatalf("%d changes are kept", len(h.changes))
		}
	}
	last := uint64(10 + total)
	for back := range uint64(historyLength) {
		got, ok := h.since(last - back)
		if !ok || uint64(len(got)) != back || back > 0 && got[0].revision != last-back+1 {
			t.Fatalf("%d back: %d changes, ok %v", back, len(got), ok)
		}
	}
	if _, ok := h.since(10); ok {
		t.Error("it claims to know what it has forgotten")
	}
	if got, ok := h.since(h.oldest); !ok || got[0].revision != h.oldest+1 {
		t.Error("it does not give all that it has")
	}
}
