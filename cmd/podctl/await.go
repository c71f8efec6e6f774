package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// errTimeout says that what was waited for did not come in time.
var errTimeout = errors.New("timed out")

// verdict is asked about each state of the awaited object; nil is that it is
// not there.
type verdict func(object *unstructured.Unstructured) (done bool, err error)

// patience is how long a verb waits for all it waits for.
type patience struct {
	now   func() time.Time
	until time.Time // zero is for ever
}

// waitAtMost is a patience that begins now: 0 looks once, less than 0 is for
// ever.
func (s *session) waitAtMost(timeout time.Duration) patience {
	if timeout < 0 {
		return patience{now: s.now}
	}
	return patience{now: s.now, until: s.now().Add(timeout)}
}

// await watches one object until the verdict is done or fails. When patience
// has run out it still looks once, then returns errTimeout.
func (c *client) await(ctx context.Context, r ref, p patience, ask verdict) error {
	once := false
	limited := ctx
	if !p.until.IsZero() {
		left := p.until.Sub(p.now())
		once = left <= 0
		if !once {
			var cancel context.CancelFunc
			limited, cancel = context.WithTimeout(ctx, left)
			defer cancel()
		}
	}
	err := c.watch(limited, r.watchRequest(), judge(ask, once))
	if st, ok := grpcStatus(err); ok && st.Code() == codes.DeadlineExceeded && ctx.Err() == nil && due(limited) {
		return errTimeout
	}
	return err
}

// due says whether a context's time is over. podd, which knows it too, may say
// so a moment before the context does.
func due(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < 100*time.Millisecond
}

// judge asks about every state that a watch of one object brings.
func judge(ask verdict, once bool) func(change) (bool, error) {
	there := false
	return func(ch change) (done bool, err error) {
		switch ch.kind {
		case poddv1.WatchResponse_TYPE_ADDED, poddv1.WatchResponse_TYPE_MODIFIED:
			there = true
			return ask(ch.object)
		case poddv1.WatchResponse_TYPE_DELETED:
			there = false
			return ask(nil)
		case poddv1.WatchResponse_TYPE_SYNCED:
			if !there {
				done, err = ask(nil)
			}
			if once && !done && err == nil {
				err = errTimeout
			}
			return done, err
		default:
			return false, nil
		}
	}
}

// gone waits for the end of an object, of that uid if the ref has one.
func gone(r ref) verdict {
	return func(object *unstructured.Unstructured) (bool, error) {
		return object == nil || r.uid != "" && object.GetUID() != r.uid, nil
	}
}

// timedOut is err, or for errTimeout kubectl's words.
func timedOut(err error, r ref) error {
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("timed out waiting for the condition on %s", r)
	}
	return err
}
