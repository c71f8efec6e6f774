package agent

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// bookmarkEvery is how often a quiet watch is told how far the world has gone.
const bookmarkEvery = 30 * time.Second

type watchStream = grpc.ServerStreamingServer[poddv1.WatchResponse]

// Watch sends what is, then what changes. A caller that goes away ends it.
func (o *objects) Watch(req *poddv1.WatchRequest, stream watchStream) error {
	if err := checkRead(req.Kinds...); err != nil {
		return err
	}
	match, err := matcher(req.Kinds, req.Namespace, req.LabelSelector, req.FieldSelector)
	if err != nil {
		return err
	}
	ctx := stream.Context()
	w, snap, ok, err := o.a.keeper.watchFrom(ctx, match, req.FromRevision)
	if err != nil {
		return err
	}
	if !ok {
		return tooOld(*req.FromRevision, snap.Revision)
	}
	defer o.a.keeper.stop(ctx, w)
	if err := stream.SendHeader(nil); err != nil { // the caller knows now that it misses nothing
		return err
	}
	if req.FromRevision == nil {
		if err := o.sendAll(stream, snap, match, req.Kinds); err != nil {
			return err
		}
	}
	return o.follow(stream, w)
}

func tooOld(from, now uint64) error {
	return apierrors.NewResourceExpired("revision " + strconv.FormatUint(from, 10) +
		" is not known any more (now: " + strconv.FormatUint(now, 10) + "): list, and watch from there")
}

// sendAll is the initial list, and its end.
func (o *objects) sendAll(stream watchStream, snap *Snapshot, match func(*Entry) bool, kinds []string) error {
	for _, kind := range readKinds() {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		for _, e := range snap.List(kind) {
			if !match(e) {
				continue
			}
			if err := o.send(stream, poddv1.WatchResponse_TYPE_ADDED, e, snap.Revision); err != nil {
				return err
			}
		}
	}
	return stream.Send(&poddv1.WatchResponse{Type: poddv1.WatchResponse_TYPE_SYNCED, Revision: snap.Revision})
}

func (o *objects) send(stream watchStream, kind poddv1.WatchResponse_Type, e *Entry, revision uint64) error {
	w, err := o.encoded.wire(e.Object)
	if err != nil {
		return err
	}
	return stream.Send(&poddv1.WatchResponse{Type: kind, Object: w, Revision: revision})
}

func (o *objects) follow(stream watchStream, w *watch) error {
	ctx := stream.Context()
	bookmark := time.NewTicker(bookmarkEvery)
	defer bookmark.Stop()
	for {
		quiet := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.a.life.Done():
			return errStopped
		case <-bookmark.C:
			quiet = true
		case <-w.wake:
		}
		queue, revision, ok := w.take()
		for _, c := range queue {
			if err := o.sendChange(stream, c); err != nil {
				return err
			}
		}
		if !ok {
			return apierrors.NewResourceExpired("the reader is too slow: list, and watch from there")
		}
		if quiet && len(queue) == 0 {
			if err := stream.Send(&poddv1.WatchResponse{Type: poddv1.WatchResponse_TYPE_BOOKMARK, Revision: revision}); err != nil {
				return err
			}
		}
	}
}

func (o *objects) sendChange(stream watchStream, c change) error {
	switch {
	case c.old == nil:
		return o.send(stream, poddv1.WatchResponse_TYPE_ADDED, c.new, c.revision)
	case c.new == nil:
		return o.send(stream, poddv1.WatchResponse_TYPE_DELETED, c.old, c.revision)
	}
	return o.send(stream, poddv1.WatchResponse_TYPE_MODIFIED, c.new, c.revision)
}
