package runtime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podd-io/podd/pod"
)

// transfer takes a second, and counts its beginnings and its ends.
type transfer struct {
	mu                 sync.Mutex
	begun, done, ended int
}

func (tr *transfer) fetch(ctx context.Context, _ *progress) (pod.Pulled, error) {
	tr.add(&tr.begun)
	defer tr.add(&tr.ended)
	select {
	case <-time.After(time.Second):
		tr.add(&tr.done)
		return pod.Pulled{Image: pod.Image{ID: "it"}}, nil
	case <-ctx.Done():
		return pod.Pulled{}, ctx.Err()
	}
}

func (tr *transfer) add(n *int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	*n++
}

func TestFlightsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flights{queue: queue{free: 1}}
		var tr transfer
		var all sync.WaitGroup
		first, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer leave()
		all.Go(func() {
			if _, err := f.join(first, flightOf("a", "", nil), 0, tr.fetch); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who left got %v", err)
			}
		})
		for range 3 {
			all.Go(func() {
				if img, err := f.join(t.Context(), flightOf("a", "", nil), 0, tr.fetch); err != nil || img.ID != "it" {
					t.Errorf("%+v, %v", img, err)
				}
			})
		}
		all.Wait()
		if tr.begun != 1 || tr.done != 1 || len(f.all) != 0 {
			t.Errorf("%+v, %d left", &tr, len(f.all))
		}
	})
}

// TestFlightsEnd: the last to leave ends it, and waits for that; who comes then
// starts anew.
func TestFlightsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flights{queue: queue{free: 1}}
		var tr transfer
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*100*time.Millisecond)
				defer cancel()
				if _, err := f.join(ctx, flightOf("a", "", nil), 0, tr.fetch); err == nil {
					t.Error("a cancelled transfer succeeded")
				}
			})
		}
		all.Wait()
		if tr.ended != 1 || tr.done != 0 || len(f.all) != 0 {
			t.Errorf("%+v, %d left", &tr, len(f.all))
		}
		if _, err := f.join(t.Context(), flightOf("a", "", nil), 0, tr.fetch); err != nil || tr.begun != 2 || tr.done != 1 {
			t.Errorf("%v, %+v", err, &tr)
		}
	})
}

// TestFlightsApart: what one may see another need not.
func TestFlightsApart(t *testing.T) {
	keys := map[flightKey]bool{}
	for _, secrets := range [][][]byte{nil, {[]byte("ab")}, {[]byte("a"), []byte("b")}, {[]byte("b"), []byte("a")}} {
		keys[flightOf("a", "", secrets)] = true
		keys[flightOf("b", "linux/arm64", secrets)] = true
	}
	if len(keys) != 8 {
		t.Errorf("%d keys", len(keys))
	}
}

// TestQueue: the most important goes first, then who came first; who leaves
// holds nobody up, and a transfer that somebody important joins goes first too.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flights{queue: queue{free: 2}}
		var mu sync.Mutex
		var order []string
		running, most := 0, 0
		lasts := func(name string) time.Duration { // no two end at the same time
			return time.Second + time.Duration(len(name))*time.Millisecond
		}
		fetch := func(name string) fetchFunc {
			return func(ctx context.Context, _ *progress) (pod.Pulled, error) {
				mu.Lock()
				order = append(order, name)
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(lasts(name))
				mu.Lock()
				running--
				mu.Unlock()
				return pod.Pulled{}, nil
			}
		}
		var all sync.WaitGroup
		join := func(ctx context.Context, name string, priority int32) {
			all.Go(func() {
				got, err := f.join(ctx, flightOf(name, "", nil), priority, fetch(name))
				if err == nil && got.Took != lasts(name) {
					t.Errorf("%s took %s", name, got.Took)
				}
			})
			synctest.Wait()
		}
		given, giveUp := context.WithCancel(t.Context())
		for _, name := range []string{"first", "second", "third", "fourth"} {
			join(t.Context(), name, 0)
		}
		join(given, "left", 1000)
		join(t.Context(), "important", 100)
		join(t.Context(), "fourth", 50)
		join(t.Context(), "second", 0)
		giveUp()
		all.Wait()
		want := []string{"first", "second", "important", "fourth", "third"}
		if !slices.Equal(order, want) || most != 2 || f.queue.free != 2 || len(f.queue.waiting) > 0 {
			t.Errorf("order %q, %d at once, %+v", order, most, &f.queue)
		}
	})
}
