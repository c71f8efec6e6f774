package agent

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime/pprof"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// diagnosePiece is how much is sent at once.
const diagnosePiece = 64 << 10

// The bounds of a CPU profile.
const (
	cpuProfileTime    = 10
	maxCPUProfileTime = 120
)

func (i *insight) Diagnose(req *poddv1.DiagnoseRequest, stream grpc.ServerStreamingServer[poddv1.DiagnoseResponse]) error {
	if err := forRoot(stream.Context()); err != nil {
		return err
	}
	out := bufio.NewWriterSize(diagnosis{stream}, diagnosePiece)
	if err := i.diagnose(stream.Context(), req, out); err != nil {
		return err
	}
	return out.Flush()
}

func (i *insight) diagnose(ctx context.Context, req *poddv1.DiagnoseRequest, out io.Writer) error {
	self := i.a.cfg.Self
	switch req.GetWhat() {
	case poddv1.DiagnoseRequest_WHAT_STATE:
		return self.State(out)
	case poddv1.DiagnoseRequest_WHAT_LOG:
		_, err := out.Write(self.Log())
		return err
	case poddv1.DiagnoseRequest_WHAT_GOROUTINES:
		return pprof.Lookup("goroutine").WriteTo(out, 0)
	case poddv1.DiagnoseRequest_WHAT_HEAP:
		return pprof.Lookup("heap").WriteTo(out, 0)
	case poddv1.DiagnoseRequest_WHAT_ALLOCATIONS:
		return pprof.Lookup("allocs").WriteTo(out, 0)
	case poddv1.DiagnoseRequest_WHAT_CPU:
		return cpuProfile(ctx, req.GetSeconds(), out)
	case poddv1.DiagnoseRequest_WHAT_UNSPECIFIED:
	}
	return status.Errorf(codes.InvalidArgument, "what: there is no %s", req.GetWhat())
}

// cpuProfile is sent when it is whole: nobody who reads slowly holds it up.
func cpuProfile(ctx context.Context, seconds int32, out io.Writer) error {
	if seconds < 0 || seconds > maxCPUProfileTime {
		return status.Errorf(codes.InvalidArgument, "seconds: %d is not from 0 to %d", seconds, maxCPUProfileTime)
	}
	if seconds == 0 {
		seconds = cpuProfileTime
	}
	var text bytes.Buffer
	if err := pprof.StartCPUProfile(&text); err != nil {
		return status.Error(codes.FailedPrecondition, "a CPU profile is being taken already: one at a time")
	}
	whole := sleep(ctx, time.Duration(seconds)*time.Second)
	pprof.StopCPUProfile()
	if !whole {
		return ctx.Err()
	}
	_, err := text.WriteTo(out)
	return err
}

// diagnosis sends what is written to it.
type diagnosis struct {
	stream grpc.ServerStreamingServer[poddv1.DiagnoseResponse]
}

func (d diagnosis) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		piece := rest[:min(len(rest), diagnosePiece)]
		rest = rest[len(piece):]
		if err := d.stream.Send(&poddv1.DiagnoseResponse{Data: bytes.Clone(piece)}); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}

// WriteState writes down what podd does for each pod now, for people.
func (a *Agent) WriteState(w *bufio.Writer) {
	now, snap := time.Now(), a.Snapshot()
	fmt.Fprintf(w, "ready: %t\nrevision: %d\npods: %d\n", a.Ready(), snap.Revision, len(snap.Pods()))
	for _, p := range sorted(a.Progress()) {
		e := snap.podOf(p.Pod.UID)
		if e == nil {
			continue
		}
		fmt.Fprintf(w, "\npod %s/%s (%s)\n  phase %s, start %d begun %s ago, outcome %q\n",
			p.Pod.Namespace, p.Pod.Name, p.Pod.UID, e.Pod().Status.Phase, p.Attempt, since(now, p.Begun), p.Outcome)
		for _, s := range p.UnderWay {
			state := "waiting for its turn"
			if !s.Began.IsZero() {
				state = "under way for " + since(now, s.Began)
			}
			fmt.Fprintf(w, "  %s %s/%d, wanted %s ago, %s: %s\n", s.Kind, s.Subject, s.Attempt, since(now, s.Wanted), state, s.Reason)
		}
	}
}

func since(now, then time.Time) string { return now.Sub(then).Round(time.Millisecond).String() }
