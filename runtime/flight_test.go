package runtime

import (
	"context"
	"errors"
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

func (tr *transfer) fetch(ctx context.Context, _ *progress) (pod.Image, error) {
	tr.add(&tr.begun)
	defer tr.add(&tr.ended)
	select {
	case <-time.After(time.Second):
		tr.add(&tr.done)
		return pod.Image{ID: "it"}, nil
	case <-ctx.Done():
		return pod.Image{}, ctx.Err()
	}
}

func (tr *transfer) add(n *int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	*n++
}

func TestFlightsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		var tr transfer
		var all sync.WaitGroup
		first, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer leave()
		all.Go(func() {
			if _, err := f.join(first, flightOf("a", nil), tr.fetch); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who left got %v", err)
			}
		})
		for range 3 {
			all.Go(func() {
				if img, err := f.join(t.Context(), flightOf("a", nil), tr.fetch); err != nil || img.ID != "it" {
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
		var f flights
		var tr transfer
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*100*time.Millisecond)
				defer cancel()
				if _, err := f.join(ctx, flightOf("a", nil), tr.fetch); err == nil {
					t.Error("a cancelled transfer succeeded")
				}
			})
		}
		all.Wait()
		if tr.ended != 1 || tr.done != 0 || len(f.all) != 0 {
			t.Errorf("%+v, %d left", &tr, len(f.all))
		}
		if _, err := f.join(t.Context(), flightOf("a", nil), tr.fetch); err != nil || tr.begun != 2 || tr.done != 1 {
			t.Errorf("%v, %+v", err, &tr)
		}
	})
}

// TestFlightsApart: what one may see another need not.
func TestFlightsApart(t *testing.T) {
	keys := map[flightKey]bool{}
	for _, secrets := range [][][]byte{nil, {[]byte("ab")}, {[]byte("a"), []byte("b")}, {[]byte("b"), []byte("a")}} {
		keys[flightOf("a", secrets)] = true
		keys[flightOf("b", secrets)] = true
	}
	if len(keys) != 8 {
		t.Errorf("%d keys", len(keys))
	}
}
