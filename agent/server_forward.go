package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

type forwardStream = grpc.BidiStreamingServer[poddv1.PortForwardRequest, poddv1.PortForwardResponse]

// connectTime bounds the making of a connection into a pod.
const connectTime = 10 * time.Second

// PortForward carries one connection to a pod's port. It ends when both sides
// have closed, the caller goes, or the pod does.
func (s *streams) PortForward(stream forwardStream) error {
	msg, err := stream.Recv()
	if err != nil {
		return err
	}
	start := msg.GetStart()
	if start == nil || start.Port == 0 || start.Port > math.MaxUint16 {
		return apierrors.NewBadRequest("the first message has to be the start, with a port from 1 to 65535")
	}
	p, err := s.findRunningPod(start.Pod)
	if err != nil {
		return err
	}
	ctx, cancel := withLife(stream.Context(), s.a.life)
	defer cancel()
	conn, err := s.dial(ctx, p, uint16(start.Port))
	if err != nil {
		return err
	}
	defer conn.Close()
	var gone atomic.Bool
	go func() { // a connection must not outlive the pod: it keeps its network alive
		gone.Store(s.a.watchPod(ctx, p, func(p *corev1.Pod) bool { return p == nil }) == nil)
		conn.Close()
	}()
	if err := stream.Send(&poddv1.PortForwardResponse{Kind: &poddv1.PortForwardResponse_Connected{Connected: true}}); err != nil {
		return err
	}
	err = carry(stream, conn)
	switch {
	case gone.Load():
		return errPodGone
	case s.a.life.Err() != nil:
		return errStopped
	}
	return err
}

func (s *streams) findRunningPod(ref *poddv1.PodRef) (*corev1.Pod, error) {
	p, err := s.a.podOf(ref)
	if err != nil {
		return nil, err
	}
	if p.Status.Phase != corev1.PodRunning {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("unable to forward port because pod is not running. Current status=%s", p.Status.Phase))
	}
	return p, nil
}

func (s *streams) dial(ctx context.Context, p *corev1.Pod, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return s.a.cfg.Dialer.Dial(ctx, p, port)
}

// carry copies both ways until both are closed, or one fails; a half-close
// travels. What still waits for the caller then ends with the call.
func carry(stream forwardStream, conn net.Conn) error {
	ways := make(chan error, 2)
	go func() { ways <- down(stream, conn) }()
	go func() { ways <- up(stream, conn) }()
	for range 2 {
		if err := <-ways; err != nil {
			return err
		}
	}
	return nil
}

// down copies what the caller sends to the pod. A caller that has ended its
// half of the stream has closed.
func down(stream forwardStream, conn net.Conn) error {
	for {
		req, err := stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil || req.GetEof() {
			return closeWrite(conn)
		}
		if _, err := conn.Write(req.GetData()); err != nil {
			return forwardFailure("write to", err)
		}
	}
}

// closeWrite half-closes; a connection that is closed already is fine.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return nil
	}
	return conn.Close()
}

// up copies what the pod sends to the caller.
func up(stream forwardStream, conn net.Conn) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if err := stream.Send(&poddv1.PortForwardResponse{Kind: &poddv1.PortForwardResponse_Data{Data: buf[:n]}}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return stream.Send(&poddv1.PortForwardResponse{Kind: &poddv1.PortForwardResponse_Eof{Eof: true}})
		}
		if err != nil {
			return forwardFailure("read from", err)
		}
	}
}

func forwardFailure(what string, err error) error {
	return &pod.Failure{Kind: pod.Transient, Message: fmt.Sprintf("%s the connection into the pod: %v", what, err)}
}
