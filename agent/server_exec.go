package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// disconnectGrace is what an exec'd process has to end after its caller went.
const disconnectGrace = 10 * time.Second

// Exec runs a command. When the caller goes away, its input is closed, and it
// is killed if it does not end within disconnectGrace.
func (s *streams) Exec(stream grpc.BidiStreamingServer[poddv1.ExecRequest, poddv1.ExecResponse]) error {
	msg, err := stream.Recv()
	if err != nil {
		return err
	}
	start := msg.GetStart()
	if start == nil || len(start.Command) == 0 {
		return apierrors.NewBadRequest("the first message has to be the start, with a command")
	}
	_, _, id, err := s.running(start.Pod, start.Container)
	if err != nil {
		return err
	}
	c := &peer{
		recv: func() (*poddv1.Input, error) { m, err := stream.Recv(); return m.GetInput(), err },
		send: func(out *poddv1.Output) error { return stream.Send(&poddv1.ExecResponse{Output: out}) },
	}
	ctx, cancel := detached(stream.Context(), s.a.life)
	defer cancel()
	cmd := pod.ExecCommand{Args: start.Command, TTY: start.Tty, Size: terminalSize(start.Size)}
	stdio, stop := c.stdio(start.Stdin, start.Tty)
	defer stop()
	cmd.Stdio = stdio
	code, err := s.a.cfg.Execer.Exec(ctx, id, cmd)
	if err != nil {
		return err
	}
	return c.exit(code)
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

// exit tells how a process ended, as the kubelet's error stream does.
func (p *peer) exit(code int) error {
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
	return p.tell(&poddv1.Output{Kind: &poddv1.Output_Exit{Exit: &poddv1.Exit{Code: int32(code), Status: raw}}})
}
