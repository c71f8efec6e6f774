package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

type execStream = grpc.BidiStreamingServer[poddv1.ExecRequest, poddv1.ExecResponse]

// disconnectGrace is what an exec'd process has to end after its caller went.
const disconnectGrace = 10 * time.Second

// Exec runs a command. When the caller goes away, its input is closed, and it
// is killed if it does not end within disconnectGrace.
func (s *streams) Exec(stream execStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil || len(start.Command) == 0 {
		return apierrors.NewBadRequest("the first message has to be the start, with a command")
	}
	if start.Tty {
		return status.Error(codes.Unimplemented, "exec with a terminal is not supported yet")
	}
	id, err := s.runningContainer(start)
	if err != nil {
		return err
	}
	ctx, cancel := detached(stream.Context(), s.a.life)
	defer cancel()
	out := &execOutput{stream: stream}
	cmd := pod.ExecCommand{Args: start.Command, Stdout: out.stdout(), Stderr: out.stderr()}
	if start.Stdin {
		in, feed := io.Pipe()
		defer in.Close()
		go feedInput(stream, feed)
		cmd.Stdin = in
	}
	code, err := s.a.cfg.Execer.Exec(ctx, id, cmd)
	if err != nil {
		return err
	}
	return out.exit(code)
}

func (s *streams) runningContainer(start *poddv1.ExecRequest_Start) (string, error) {
	p, st, name, err := s.findPod(start.Pod, start.Container)
	if err != nil {
		return "", err
	}
	if st == nil || st.State.Running == nil {
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is not running", name, p.Name))
	}
	return st.ContainerID[len("containerd://"):], nil
}

// detached lives a little longer than the call, so that a process whose caller
// went can end by itself.
func detached(call, life context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(call))
	stop := context.AfterFunc(call, func() {
		timer := time.NewTimer(disconnectGrace)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-life.Done():
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}

// feedInput passes input on until its end or the caller's.
func feedInput(stream execStream, feed *io.PipeWriter) {
	for {
		req, err := stream.Recv()
		if err != nil {
			feed.CloseWithError(io.EOF) // half-close, or gone: no more input either way
			return
		}
		switch in := req.GetInput().GetKind().(type) {
		case *poddv1.Input_Stdin:
			if _, err := feed.Write(in.Stdin); err != nil {
				return // the process does not read any more
			}
		case *poddv1.Input_StdinEof:
			feed.CloseWithError(io.EOF)
			return
		}
	}
}

// execOutput sends both streams; a gRPC stream takes one sender at a time. What
// a caller does not take any more is thrown away: the process need not know.
type execOutput struct {
	mu     sync.Mutex
	stream execStream
}

func (o *execOutput) send(out *poddv1.Output) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Send(&poddv1.ExecResponse{Output: out})
}

type writer func([]byte) error

func (w writer) Write(p []byte) (int, error) {
	_ = w(p)
	return len(p), nil
}

func (o *execOutput) stdout() io.Writer {
	return writer(func(p []byte) error { return o.send(&poddv1.Output{Kind: &poddv1.Output_Stdout{Stdout: p}}) })
}

func (o *execOutput) stderr() io.Writer {
	return writer(func(p []byte) error { return o.send(&poddv1.Output{Kind: &poddv1.Output_Stderr{Stderr: p}}) })
}

func (o *execOutput) exit(code int) error {
	st := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}
	if code != 0 {
		st.Status, st.Reason = metav1.StatusFailure, "NonZeroExitCode"
		st.Message = fmt.Sprintf("command terminated with non-zero exit code: exit status %d", code)
		st.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "ExitCode", Message: fmt.Sprint(code)}}}
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return o.send(&poddv1.Output{Kind: &poddv1.Output_Exit{Exit: &poddv1.Exit{Code: int32(code), Status: raw}}})
}
