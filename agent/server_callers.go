package agent

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// The bounds on what callers may have open at once. Calls that are no streams
// end soon and are not counted.
const (
	// maxConnections get answers; what comes on one more is refused in clear.
	maxConnections = 500
	// maxStreams are all that may be open; a watch is one.
	maxStreams = 4000
	// maxConnectionStreams bounds those of one connection.
	maxConnectionStreams = 1000
	// reservedStreams can be opened on every connection even when maxStreams
	// are open, so that no caller can shut the others out.
	reservedStreams = 8
)

// callers counts who has what open. It learns of connections as gRPC's stats
// handler.
type callers struct {
	mu          sync.Mutex
	connections int
	streams     int
}

// caller is one connection.
type caller struct {
	all *callers
	// Guarded by all.mu.
	streams int
	tooMany bool
}

type callerKey struct{}

var _ stats.Handler = (*callers)(nil)

// TagConn gives the calls of a connection their caller.
func (c *callers) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller{all: c})
}

// HandleConn counts connections.
func (c *callers) HandleConn(ctx context.Context, s stats.ConnStats) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s.(type) {
	case *stats.ConnBegin:
		c.connections++
		who.tooMany = c.connections > maxConnections
	case *stats.ConnEnd:
		c.connections--
	}
}

// TagRPC leaves calls as they are.
func (c *callers) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC has nothing to count: guardStream does.
func (c *callers) HandleRPC(context.Context, stats.RPCStats) {}

// tooManyConnections refuses the calls of a connection that came when there
// were enough, for as long as there are.
func tooManyConnections(ctx context.Context) error {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return nil
	}
	who.all.mu.Lock()
	defer who.all.mu.Unlock()
	who.tooMany = who.tooMany && who.all.connections > maxConnections
	if !who.tooMany {
		return nil
	}
	return exhausted("%d connections are open to podd, and %d is the limit: close some, or make many calls on one", who.all.connections, maxConnections)
}

// enter counts a stream in; left counts it out.
func enter(ctx context.Context) (left func(), err error) {
	who, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return func() {}, nil
	}
	who.all.mu.Lock()
	defer who.all.mu.Unlock()
	switch {
	case who.streams >= maxConnectionStreams:
		return nil, exhausted("this connection has %d streams open (watches, logs, exec and the like), and that is the limit: close some", who.streams)
	case who.all.streams >= maxStreams && who.streams >= reservedStreams:
		return nil, exhausted("podd has %d streams open (watches, logs, exec and the like), and %d is the limit: close some; this connection has %d",
			who.all.streams, maxStreams, who.streams)
	}
	who.streams++
	who.all.streams++
	return who.leave, nil
}

func (who *caller) leave() {
	who.all.mu.Lock()
	defer who.all.mu.Unlock()
	who.streams--
	who.all.streams--
}

// exhausted becomes RESOURCE_EXHAUSTED.
func exhausted(format string, args ...any) error {
	return status.Errorf(codes.ResourceExhausted, format, args...)
}
