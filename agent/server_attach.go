package agent

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// Attach joins a container's own streams from now on, until it ends or the
// caller goes. The caller's going changes nothing for the container, but ends
// its input where stdinOnce asks for that.
func (s *streams) Attach(stream grpc.BidiStreamingServer[poddv1.AttachRequest, poddv1.AttachResponse]) error {
	msg, err := stream.Recv()
	if err != nil {
		return err
	}
	start := msg.GetStart()
	if start == nil {
		return apierrors.NewBadRequest("the first message has to be the start")
	}
	p, spec, id, err := s.running(start.Pod, start.Container)
	if err != nil {
		return err
	}
	if err := checkAttach(start, spec); err != nil {
		return err
	}
	c := &peer{
		recv: func() (*poddv1.Input, error) { m, err := stream.Recv(); return m.GetInput(), err },
		send: func(out *poddv1.Output) error { return stream.Send(&poddv1.AttachResponse{Output: out}) },
	}
	stdio, stop := c.stdio(start.Stdin, start.Tty)
	defer stop()
	ctx, cancel := withLife(stream.Context(), s.a.life)
	defer cancel()
	opts := pod.AttachOptions{StdinOnce: spec.StdinOnce, Stdio: stdio}
	if err := s.a.cfg.Attacher.Attach(ctx, id, opts); err != nil {
		if s.a.life.Err() != nil {
			return errStopped
		}
		return err
	}
	code, err := s.exitCode(ctx, p, spec.Name, id)
	if err != nil {
		return err
	}
	return c.exit(code)
}

// checkAttach refuses what the container does not have.
func checkAttach(start *poddv1.AttachRequest_Start, spec *corev1.Container) error {
	if start.Stdin && !spec.Stdin {
		return apierrors.NewBadRequest(fmt.Sprintf("container %q takes no input: its stdin field is not set", spec.Name))
	}
	if start.Tty && !spec.TTY {
		return apierrors.NewBadRequest(fmt.Sprintf("container %q has no terminal: its tty field is not set", spec.Name))
	}
	return nil
}

// withLife ends with the call, or when podd stops.
func withLife(call, life context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(call)
	stop := context.AfterFunc(life, cancel)
	return ctx, func() { stop(); cancel() }
}

// exitCode waits until a container whose output has ended has itself ended,
// and gives its exit code.
func (s *streams) exitCode(ctx context.Context, p *corev1.Pod, name, id string) (int, error) {
	var end *corev1.ContainerStateTerminated
	err := s.a.watchPod(ctx, p, func(p *corev1.Pod) bool {
		if p == nil {
			return true
		}
		st := containerStatus(p, name)
		end = terminated(st, id)
		return end != nil || st == nil || st.State.Running == nil || st.ContainerID != containerdScheme+id
	})
	switch {
	case err != nil && s.a.life.Err() != nil:
		return 0, errStopped
	case err != nil:
		return 0, err
	case end == nil:
		return 0, apierrors.NewNotFound(resource(KindPod), p.Name)
	}
	return int(end.ExitCode), nil
}

// terminated is how one instance of a container ended; nil if that is not
// known (any more).
func terminated(st *corev1.ContainerStatus, id string) *corev1.ContainerStateTerminated {
	if st == nil {
		return nil
	}
	for _, t := range []*corev1.ContainerStateTerminated{st.State.Terminated, st.LastTerminationState.Terminated} {
		if t != nil && t.ContainerID == containerdScheme+id {
			return t
		}
	}
	return nil
}
