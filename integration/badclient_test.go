package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// dial opens a connection of its own to podd's socket.
func (n *node) dial() *grpc.ClientConn {
	n.t.Helper()
	conn, err := grpc.NewClient(n.address(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	return conn
}

// rss is podd's resident memory in bytes; anonymous is what of it is its own.
func (n *node) rss() (resident, anonymous int) {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch words[0] {
		case "VmRSS:":
			resident, _ = strconv.Atoi(words[1])
		case "RssAnon:":
			anonymous, _ = strconv.Atoi(words[1])
		}
	}
	return resident << 10, anonymous << 10
}

// descriptors are how many podd has open.
func (n *node) descriptors() int {
	n.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	return len(all)
}

// answersQuickly applies and reads as another client would meanwhile.
func (n *node) answersQuickly(objects poddv1.ObjectsClient, what string) {
	n.t.Helper()
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "probe"}, "data": map[string]any{"now": time.Now().String()},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	_, err = objects.Apply(ctx, &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: "ConfigMap", Json: raw}}})
	if err == nil {
		_, err = objects.Get(ctx, &poddv1.GetRequest{Ref: &poddv1.ObjectRef{Kind: "ConfigMap", Name: "probe"}})
	}
	took := time.Since(began)
	if err != nil || took > 2*time.Second {
		n.t.Errorf("%s: an apply and a get took %v: %v", what, took, err)
	}
	resident, anonymous := n.rss()
	n.t.Logf("%s: apply and get in %v; podd has %d MiB, %d MiB of it anonymous, and %d descriptors",
		what, took.Round(time.Millisecond/10), resident>>20, anonymous>>20, n.descriptors())
}

// count opens many streams at once and tells how many stood and how many were
// refused, each in clear. What stands stays open until ctx ends.
func (n *node) count(ctx context.Context, many int, open func(ctx context.Context, i int) error) (stood, refused int) {
	n.t.Helper()
	var ok, no atomic.Int64
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() {
			err := open(ctx, i)
			switch {
			case err == nil:
				ok.Add(1)
			case status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "limit"):
				no.Add(1)
			default:
				n.t.Errorf("stream %d: %v", i, err)
			}
		})
	}
	group.Wait()
	return int(ok.Load()), int(no.Load())
}

// memoryBound is what podd may have in all, whatever its callers do.
const memoryBound = 400 << 20

// TestTenThousandWatchesAndHalfOpenStreams: on a few connections, none of them
// reads or sends.
func TestTenThousandWatchesAndHalfOpenStreams(t *testing.T) {
	n := newNode(t)
	other := poddv1.NewObjectsClient(n.dial())
	n.answersQuickly(other, "at first")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var conns []*grpc.ClientConn
	for range 10 {
		conns = append(conns, n.dial())
	}
	began := time.Now()
	stood, refused := n.count(ctx, 10_000, func(ctx context.Context, i int) error {
		watch, err := poddv1.NewObjectsClient(conns[i%len(conns)]).Watch(ctx, &poddv1.WatchRequest{})
		if err != nil {
			return err
		}
		_, err = watch.Header() // comes when the watch stands
		if err == nil && len(watch.Trailer()) == 0 {
			return nil
		}
		_, err = watch.Recv()
		return err
	})
	t.Logf("%d watches stand and %d are refused after %v", stood, refused, time.Since(began))
	n.answersQuickly(other, "with many watches")
	_, halfRefused := n.count(ctx, 10_000, func(ctx context.Context, i int) error {
		return halfOpen(ctx, conns[i%len(conns)], i)
	})
	t.Logf("%d half-open streams are refused at once", halfRefused)
	n.answersQuickly(other, "with half-open streams too")
	for range 5 {
		n.answersQuickly(other, "while the watches are told")
	}
	if stood < 3900 || stood > 4100 || stood+refused != 10_000 {
		t.Errorf("%d watches stand, %d are refused", stood, refused)
	}
	if resident, _ := n.rss(); resident > memoryBound {
		t.Errorf("podd has %d MiB", resident>>20)
	}
	// Somebody else still gets his watch, and podctl works.
	n.apply(shell("meanwhile", "sleep 1000"))
	n.ready("meanwhile")
	cancel()
	for _, c := range conns {
		c.Close()
	}
	n.eventually(10*time.Second, "all is given back", func() error {
		if open := n.descriptors(); open > 60 {
			return fmt.Errorf("%d descriptors", open)
		}
		return nil
	})
	n.answersQuickly(other, "when they are gone")
}

// TestUnreadWatchesOfLargeObjects: what is sent to many and read by none is in
// memory once, not once for each.
func TestUnreadWatchesOfLargeObjects(t *testing.T) {
	n := newNode(t)
	other := poddv1.NewObjectsClient(n.dial())
	large := func(i, round int) {
		raw := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large-%d"},"data":{"a":"%d%s"}}`, i, round, strings.Repeat("x", 500<<10))
		if _, err := other.Apply(t.Context(), &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: "ConfigMap", Json: []byte(raw)}}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		large(i, 0)
	}
	conns := []*grpc.ClientConn{n.dial(), n.dial()}
	n.count(t.Context(), 1900, func(ctx context.Context, i int) error {
		watch, err := poddv1.NewObjectsClient(conns[i%len(conns)]).Watch(ctx, &poddv1.WatchRequest{})
		if err == nil {
			_, err = watch.Header()
		}
		return err
	})
	n.answersQuickly(other, "with unread watches of large objects")
	for round := range 10 {
		large(round%5, round)
	}
	n.answersQuickly(other, "after changes of large objects")
	if resident, _ := n.rss(); resident > memoryBound {
		t.Errorf("podd has %d MiB", resident>>20)
	}
}

// halfOpen opens a stream of one kind or the other and sends nothing. It gives
// the error of one that was refused.
func halfOpen(ctx context.Context, conn *grpc.ClientConn, i int) error {
	methods := []string{"Streams/Exec", "Streams/Attach", "Streams/PortForward", "Streams/CopyIn", "Images/Import"}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/podd.v1."+methods[i%len(methods)])
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.RecvMsg(&poddv1.ExecResponse{}) }()
	select {
	case err := <-ended:
		if status.Code(err) == codes.Unimplemented {
			return nil
		}
		return err
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func TestGarbageOnTheSocket(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	other := poddv1.NewObjectsClient(n.dial())
	before := n.descriptors()
	var conns []net.Conn
	for _, text := range []string{
		"", "GET / HTTP/1.1\r\nHost: podd\r\n\r\n", "\x00\x00\x00", strings.Repeat("\xff", 1<<16),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("x", 1<<16),
	} {
		for range 20 {
			conn, err := net.Dial("unix", n.path("podd.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = conn.Write([]byte(text)) // podd may have closed it by then
			conns = append(conns, conn)
		}
	}
	n.answersQuickly(other, "with garbage on the socket")
	for i, conn := range conns { // every one is closed by podd
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d stays open", i)
			break
		}
	}
	n.eventually(5*time.Second, "they are closed", func() error {
		if open := n.descriptors(); open > before+2 {
			return fmt.Errorf("%d descriptors, %d before", open, before)
		}
		return nil
	})
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	other := poddv1.NewObjectsClient(n.dial())
	n.answersQuickly(other, "at first")
	refused := 0
	for i := range 520 {
		_, err := healthpb.NewHealthClient(n.dial()).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "500 is the limit") {
			refused++
		} else if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if refused < 20 || refused > 22 {
		t.Errorf("%d are refused", refused)
	}
	n.answersQuickly(other, "with too many connections")
}

func TestMessagesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	other := poddv1.NewObjectsClient(n.dial())
	large := bytes.Repeat([]byte("x"), 33<<20)
	for range 10 {
		_, err := other.Apply(t.Context(), &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: "ConfigMap", Json: large}}})
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), fmt.Sprint(32<<20)) {
			t.Errorf("%v", err)
		}
	}
	_, err := other.Apply(t.Context(), &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: "ConfigMap", Json: large[:31<<20]}}})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "3 MiB") {
		t.Errorf("%v", err)
	}
	n.answersQuickly(other, "after messages too large")
	if resident, _ := n.rss(); resident > memoryBound {
		t.Errorf("podd has %d MiB", resident>>20)
	}
}

// TestALargeSet: as many objects as one Apply takes are stored while others
// read, and one more is refused.
func TestALargeSet(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	other := poddv1.NewObjectsClient(n.dial())
	n.answersQuickly(other, "at first")
	var set []*poddv1.Object
	for i := range 2000 {
		raw := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"many-%d"},"data":{"a":%q}}`, i, strings.Repeat("x", 10<<10))
		set = append(set, &poddv1.Object{Kind: "ConfigMap", Json: []byte(raw)})
	}
	conn := poddv1.NewObjectsClient(n.dial())
	stored := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := conn.Apply(t.Context(), &poddv1.ApplyRequest{Objects: set})
		stored <- err
	}()
	for done := false; !done; {
		select {
		case err := <-stored:
			if err != nil {
				t.Error(err)
			}
			t.Logf("2000 objects are stored after %v", time.Since(began))
			done = true
		case <-time.After(50 * time.Millisecond):
		}
		n.answersQuickly(other, "with a large set under way")
	}
	_, err := conn.Apply(t.Context(), &poddv1.ApplyRequest{Objects: append(set, set[0])})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "2000") {
		t.Errorf("one more: %v", err)
	}
}
