package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// scriptedWatch answers each Watch with the next of its lives.
type scriptedWatch struct {
	poddv1.UnimplementedObjectsServer
	mu    sync.Mutex
	lives []life
	asked []string
}

// life is what one Watch is told, and the error that it ends with. Each step is
// "ADDED name revision", or "SYNCED - revision".
type life struct {
	steps []string
	end   error
}

func (s *scriptedWatch) Watch(req *poddv1.WatchRequest, stream poddv1.Objects_WatchServer) error {
	s.mu.Lock()
	from := "everything"
	if req.FromRevision != nil {
		from = fmt.Sprint(req.GetFromRevision())
	}
	s.asked = append(s.asked, from)
	if len(s.lives) == 0 {
		s.mu.Unlock()
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	l := s.lives[0]
	s.lives = s.lives[1:]
	s.mu.Unlock()
	for _, step := range l.steps {
		var kind, name string
		var revision uint64
		if _, err := fmt.Sscan(step, &kind, &name, &revision); err != nil {
			return err
		}
		resp := &poddv1.WatchResponse{Type: poddv1.WatchResponse_Type(poddv1.WatchResponse_Type_value["TYPE_"+kind]), Revision: revision}
		if name != "-" {
			resp.Object = &poddv1.Object{Kind: "Pod", Json: fmt.Appendf(nil,
				`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":"default","uid":%q,"resourceVersion":"%d"}}`, name, name, revision)}
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
	return l.end
}

// TestAWatchGoesOn when podd was restarted: nothing is told twice, and what
// happened meanwhile is told as far as it shows.
func TestAWatchGoesOn(t *testing.T) {
	gone, old := status.Error(codes.Unavailable, "podd is stopping"), status.Error(codes.OutOfRange, "too long ago")
	for name, c := range map[string]struct {
		lives []life
		told  string
		asked string
		fails string
	}{
		"it is resumed": {
			lives: []life{{[]string{"ADDED a 1", "SYNCED - 2", "MODIFIED a 3"}, gone}, {nil, gone}, {[]string{"DELETED a 5"}, nil}},
			told:  "ADDED a, SYNCED, MODIFIED a, DELETED a", asked: "everything 3 3 5",
		},
		"it begins anew": {
			lives: []life{
				{[]string{"ADDED a 1", "ADDED b 2", "ADDED c 2", "SYNCED - 2"}, nil}, {nil, old},
				{[]string{"ADDED a 1", "ADDED c 7", "ADDED d 8", "SYNCED - 9", "MODIFIED a 10"}, gone},
			},
			told: "ADDED a, ADDED b, ADDED c, SYNCED, MODIFIED c, ADDED d, DELETED b, MODIFIED a", asked: "everything 2 everything 10",
		},
		"it never stood": {lives: []life{{[]string{"ADDED a 1"}, gone}}, told: "ADDED a", asked: "everything", fails: "podd is stopping"},
		"it is refused":  {lives: []life{{[]string{"SYNCED - 1"}, gone}, {nil, status.Error(codes.InvalidArgument, "no")}}, told: "SYNCED", asked: "everything 1", fails: "no"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &scriptedWatch{lives: slices.Clone(c.lives)}
				s := serveObjects(t, script)
				cl, err := s.connect()
				if err != nil {
					t.Fatal(err)
				}
				defer cl.close()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				var told []string
				err = cl.watch(ctx, &poddv1.WatchRequest{}, func(ch change) (bool, error) {
					what := strings.TrimPrefix(ch.kind.String(), "TYPE_")
					if ch.object != nil {
						what += " " + ch.object.GetName()
					}
					told = append(told, what)
					return false, nil
				})
				if got := strings.Join(told, ", "); got != c.told {
					t.Errorf("told: %s", got)
				}
				script.mu.Lock()
				defer script.mu.Unlock()
				if got := strings.Join(script.asked, " "); got != c.asked {
					t.Errorf("asked from: %s", got)
				}
				if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) || c.fails == "" && status.Code(err) != codes.DeadlineExceeded && ctx.Err() == nil {
					t.Errorf("it ends with %v", err)
				}
			})
		})
	}
}

// TestAWatchIsGivenUp when podd stays away.
func TestAWatchIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := status.Error(codes.Unavailable, "podd is stopping")
		lives := []life{{[]string{"SYNCED - 1"}, gone}}
		for range 1000 {
			lives = append(lives, life{nil, gone})
		}
		s := serveObjects(t, &scriptedWatch{lives: lives})
		cl, err := s.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer cl.close()
		began := time.Now()
		err = cl.watch(t.Context(), &poddv1.WatchRequest{}, func(change) (bool, error) { return false, nil })
		if took := time.Since(began); status.Code(err) != codes.Unavailable || took < away || took > away+time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func serveObjects(t *testing.T, objects poddv1.ObjectsServer) session {
	t.Helper()
	return serveWith(t, func(server *grpc.Server) { poddv1.RegisterObjectsServer(server, objects) })
}
