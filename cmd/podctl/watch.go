package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// change is one answer of a watch.
type change struct {
	kind   poddv1.WatchResponse_Type
	object *unstructured.Unstructured // nil for SYNCED and BOOKMARK
}

const (
	// away is how long podd may be away from a watch that stood: it may be
	// restarted.
	away = time.Minute
	// retryEvery is how often it is looked for then.
	retryEvery = 200 * time.Millisecond
)

// watch tells of every change until seen says that it is done or fails. A watch
// that stood goes on when podd was restarted: nothing is told twice, SYNCED
// only once, and what happened meanwhile is told as far as it still shows.
func (c *client) watch(ctx context.Context, req *poddv1.WatchRequest, seen func(change) (done bool, err error)) error {
	f := &follower{req: req, seen: seen, known: map[string]*unstructured.Unstructured{}}
	var lost time.Time
	for {
		began := time.Now()
		err := f.once(ctx, c)
		if f.done || err == nil || !f.synced || ctx.Err() != nil {
			return err
		}
		st, answered := grpcStatus(err)
		switch {
		case answered && st.Code() == codes.OutOfRange:
			f.begin()
			continue
		case !errors.Is(err, errWatchEnded) && (!answered || st.Code() != codes.Unavailable):
			return err
		}
		if lost.IsZero() || time.Since(began) > away { // it stood meanwhile
			lost = time.Now()
		}
		if time.Since(lost) > away {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

var errWatchEnded = errors.New("podd ended the watch")

// follower is a watch that goes on.
type follower struct {
	req    *poddv1.WatchRequest
	seen   func(change) (bool, error)
	synced bool
	done   bool
	known  map[string]*unstructured.Unstructured
	// listed are the objects of a list that begins anew; nil otherwise.
	listed map[string]bool
}

// begin has the next watch begin with everything that is.
func (f *follower) begin() {
	f.req.FromRevision, f.listed = nil, map[string]bool{}
}

// once watches until the stream ends.
func (f *follower) once(ctx context.Context, c *client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.objects.Watch(ctx, f.req)
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errWatchEnded
		}
		if err != nil {
			return err
		}
		if f.done, err = f.take(resp); f.done || err != nil {
			f.done = true
			return err
		}
	}
}

func (f *follower) take(resp *poddv1.WatchResponse) (bool, error) {
	ch := change{kind: resp.GetType()}
	if resp.GetObject() != nil {
		var err error
		if ch.object, err = decode(resp.GetObject()); err != nil {
			return false, err
		}
	}
	if f.listed == nil || f.synced && ch.kind != poddv1.WatchResponse_TYPE_ADDED && ch.kind != poddv1.WatchResponse_TYPE_SYNCED {
		return f.tell(ch, resp.GetRevision())
	}
	return f.relist(ch, resp.GetRevision())
}

// tell passes a change on and remembers what it comes to.
func (f *follower) tell(ch change, revision uint64) (bool, error) {
	switch {
	case ch.kind == poddv1.WatchResponse_TYPE_SYNCED:
		f.synced = true
	case ch.kind == poddv1.WatchResponse_TYPE_DELETED:
		delete(f.known, keyOf(ch.object))
	case ch.object != nil:
		f.known[keyOf(ch.object)] = ch.object
	}
	if f.synced {
		f.req.FromRevision = &revision
	}
	return f.seen(ch)
}

// relist compares a list that begins anew with what is known.
func (f *follower) relist(ch change, revision uint64) (done bool, err error) {
	if ch.kind == poddv1.WatchResponse_TYPE_SYNCED {
		listed := f.listed
		f.listed = nil
		for key, object := range f.known {
			if !listed[key] && !done && err == nil {
				done, err = f.tell(change{poddv1.WatchResponse_TYPE_DELETED, object}, revision)
			}
		}
		f.req.FromRevision = &revision
		return done, err
	}
	key := keyOf(ch.object)
	f.listed[key] = true
	if before := f.known[key]; before != nil {
		if before.GetResourceVersion() == ch.object.GetResourceVersion() {
			return false, nil
		}
		ch.kind = poddv1.WatchResponse_TYPE_MODIFIED
	}
	f.known[key] = ch.object
	return f.seen(ch)
}

// keyOf tells objects apart; one of the same name with another uid is another.
func keyOf(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s/%s/%s/%s", o.GetKind(), o.GetNamespace(), o.GetName(), o.GetUID())
}
