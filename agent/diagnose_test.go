package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

func diagnose(ctx context.Context, c poddv1.InsightClient, req *poddv1.DiagnoseRequest) ([]byte, error) {
	stream, err := c.Diagnose(ctx, req)
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, resp.GetData()...)
	}
}

// atASocket serves the rig's agent at a unix socket: the kernel tells who calls.
func atASocket(t *testing.T, r *rig) poddv1.InsightClient {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	lis, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.life.agent.Serve(ctx, lis) }()
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		end()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return poddv1.NewInsightClient(conn)
}

// TestDiagnose is in real time: real sockets are not of a bubble.
func TestDiagnose(t *testing.T) {
	r := newRig(t)
	defer r.abandon()
	r.start()
	c := atASocket(t, r)
	for what, begins := range map[poddv1.DiagnoseRequest_What]string{
		poddv1.DiagnoseRequest_WHAT_STATE:       "the state\n",
		poddv1.DiagnoseRequest_WHAT_LOG:         "the end of the log\n",
		poddv1.DiagnoseRequest_WHAT_GOROUTINES:  "\x1f\x8b", // gzip
		poddv1.DiagnoseRequest_WHAT_HEAP:        "\x1f\x8b",
		poddv1.DiagnoseRequest_WHAT_ALLOCATIONS: "\x1f\x8b",
	} {
		if got, err := diagnose(t.Context(), c, &poddv1.DiagnoseRequest{What: what}); err != nil || !bytes.HasPrefix(got, []byte(begins)) {
			t.Errorf("%s: %v, %.20q", what, err, got)
		}
	}
	for _, req := range []*poddv1.DiagnoseRequest{
		{}, {What: 99}, {What: poddv1.DiagnoseRequest_WHAT_CPU, Seconds: 121}, {What: poddv1.DiagnoseRequest_WHAT_CPU, Seconds: -1},
	} {
		if _, err := diagnose(t.Context(), c, req); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
	r.stop()
}

// TestOneCPUProfileAtATime: a second one is refused, and one that is given up
// makes room.
func TestOneCPUProfileAtATime(t *testing.T) {
	r := newRig(t)
	defer r.abandon()
	r.start()
	c := atASocket(t, r)
	ctx, giveUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		for {
			_, err := diagnose(ctx, c, &poddv1.DiagnoseRequest{What: poddv1.DiagnoseRequest_WHAT_CPU, Seconds: 120})
			if status.Code(err) != codes.FailedPrecondition { // one of the others was before it
				first <- err
				return
			}
		}
	}()
	until(t, func() bool {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := diagnose(short, c, &poddv1.DiagnoseRequest{What: poddv1.DiagnoseRequest_WHAT_CPU, Seconds: 120})
		return status.Code(err) == codes.FailedPrecondition
	})
	giveUp()
	<-first
	until(t, func() bool {
		got, err := diagnose(t.Context(), c, &poddv1.DiagnoseRequest{What: poddv1.DiagnoseRequest_WHAT_CPU, Seconds: 1})
		return err == nil && bytes.HasPrefix(got, []byte("\x1f\x8b"))
	})
	r.stop()
}

func until(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come within 20 s")
		}
	}
}

// TestWhoIsNotKnownMayNotDiagnose: the bubble's connection has no user.
func TestWhoIsNotKnownMayNotDiagnose(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, err := diagnose(t.Context(), poddv1.NewInsightClient(r.life.conn), &poddv1.DiagnoseRequest{What: poddv1.DiagnoseRequest_WHAT_STATE})
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%v", err)
		}
	})
}

func TestTheStateTellsWhatIsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		r.limits.Containers = 1
		r.start()
		r.slowActions(10 * time.Second)
		r.apply(podNamed("web", nil))
		r.until("two things are wanted", time.Minute, func() bool { return len(r.progress("web").UnderWay) >= 2 })
		r.pass(1500 * time.Millisecond)
		var text bytes.Buffer
		w := bufio.NewWriter(&text)
		r.life.agent.WriteState(w)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"ready: true\n", "pods: 1\n", "pod default/web (", "phase Pending", "waiting for its turn", "under way for 1.", "the pod has no "} {
			if !strings.Contains(text.String(), part) {
				t.Errorf("no %q in\n%s", part, text.String())
			}
		}
	})
}

func TestTimelineOverTheWire(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := poddv1.NewInsightClient(r.life.conn)
		r.apply(podNamed("web", nil), podNamed("db", nil))
		r.untilReady("web")
		r.untilReady("db")
		all, err := c.Timeline(t.Context(), &poddv1.TimelineRequest{})
		if err != nil || len(all.GetPods()) != 2 || len(all.GetPhases()) != 1 || all.GetPhases()[0].GetName() != "prepare" {
			t.Fatalf("%v: %v", err, all)
		}
		one, err := c.Timeline(t.Context(), &poddv1.TimelineRequest{Pod: &poddv1.PodRef{Name: "web"}})
		if err != nil || len(one.GetPods()) != 1 || one.GetPods()[0].GetOutcome() != "Ready" || len(one.GetPods()[0].GetSteps()) < 5 {
			t.Fatalf("%v: %v", err, one)
		}
		for _, s := range one.GetPods()[0].GetSteps() {
			if s.GetKind() == string(pod.CreateSandbox) && (s.GetWanted() == nil || s.GetBegan() == nil || s.GetEnded() == nil || s.GetReason() == "") {
				t.Errorf("%v", s)
			}
		}
		if _, err := c.Timeline(t.Context(), &poddv1.TimelineRequest{Pod: &poddv1.PodRef{Name: "none"}}); status.Code(err) != codes.NotFound {
			t.Errorf("%v", err)
		}
	})
}
