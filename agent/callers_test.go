package agent

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

func connect(all *callers) context.Context {
	ctx := all.TagConn(context.Background(), nil)
	all.HandleConn(ctx, &stats.ConnBegin{})
	return ctx
}

// open opens streams until it is refused.
func open(t *testing.T, ctx context.Context) (left []func(), err error) {
	t.Helper()
	for range maxStreams + 1 {
		leave, err := enter(ctx)
		if err != nil {
			return left, err
		}
		left = append(left, leave)
	}
	t.Fatal("there is no end")
	return nil, nil
}

func TestNobodyShutsTheOthersOut(t *testing.T) {
	all := &callers{}
	var left []func()
	for range maxStreams / maxConnectionStreams {
		mine, err := open(t, connect(all))
		if len(mine) != maxConnectionStreams || status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("%d streams, then %v", len(mine), err)
		}
		left = append(left, mine...)
	}
	late := connect(all)
	mine, err := open(t, late)
	if len(mine) != reservedStreams || !strings.Contains(status.Convert(err).Message(), "4000 is the limit") {
		t.Errorf("a newcomer has %d streams, then %v", len(mine), err)
	}
	for _, leave := range append(left, mine...) {
		leave()
	}
	if all.streams != 0 {
		t.Errorf("%d streams are left", all.streams)
	}
	if _, err := enter(late); err != nil {
		t.Error(err)
	}
}

func TestAConnectionTooMany(t *testing.T) {
	all := &callers{}
	first := connect(all)
	for range maxConnections - 1 {
		connect(all)
	}
	extra := connect(all)
	if err := tooManyConnections(extra); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "500 is the limit") {
		t.Errorf("%v", err)
	}
	if err := tooManyConnections(first); err != nil {
		t.Errorf("who was there before is refused: %v", err)
	}
	all.HandleConn(first, &stats.ConnEnd{})
	if err := tooManyConnections(extra); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestManySlowReadersShareWhatWaits: what waits for all of them is bounded, and
// those who read are not ended for it.
func TestManySlowReadersShareWhatWaits(t *testing.T) {
	k := runningKeeper(t)
	const readers = 200
	var lazy []*watch
	for range readers {
		w, _, _, err := k.watchFrom(t.Context(), everything, nil)
		if err != nil {
			t.Fatal(err)
		}
		lazy = append(lazy, w)
	}
	diligent, _, _, err := k.watchFrom(t.Context(), everything, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * roomForAll / readers {
		publish(t, k, configMap("a", nil), true)
		publish(t, k, configMap("a", nil), false)
		if _, _, ok := diligent.take(); !ok {
			t.Fatal("who reads is ended")
		}
		if n := k.room.queued.Load(); n > roomForAll+readers {
			t.Fatalf("%d changes wait", n)
		}
	}
	if n := k.room.readers.Load(); n < 1 || n > readers {
		t.Errorf("%d readers are left", n)
	}
	for _, w := range append(lazy, diligent) {
		k.stop(t.Context(), w)
	}
	if queued, readers := k.room.queued.Load(), k.room.readers.Load(); queued != 0 || readers != 0 {
		t.Errorf("%d changes wait for %d readers", queued, readers)
	}
}

// publish adds or removes an object, without writing it.
func publish(t *testing.T, k *keeper, e *Entry, there bool) {
	t.Helper()
	err := k.do(t.Context(), func() error {
		if there {
			k.publish(edit{e.Key, e})
		} else {
			k.publish(edit{e.Key, nil})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
