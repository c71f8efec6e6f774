package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// forwardFlags are the flags of port-forward.
type forwardFlags struct {
	addresses []string
}

// forward is one pair of ports.
type forward struct{ local, remote int }

func newPortForward(s *session) *cobra.Command {
	var f forwardFlags
	cmd := &cobra.Command{
		Use:   "port-forward POD [LOCAL_PORT:]REMOTE_PORT...",
		Short: "Forward local ports to a pod",
		Long: "Forward local ports to a pod, until podctl is interrupted or the pod is gone. What listens on the\n" +
			"pod's loopback only is reached too. A remote port may be the name of a container's port.",
		Example:           "  podctl port-forward web 8080:80\n  podctl port-forward pod/web 5000 :6000 --address=localhost,192.0.2.1",
		ValidArgsFunction: s.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("TYPE/NAME and list of ports are required for port-forward")
			}
			return f.run(cmd.Context(), s, args[0], args[1:])
		},
	}
	cmd.Flags().StringSliceVar(&f.addresses, "address", nil, "local address to listen on, or podd's control endpoint if it is a socket's (default localhost: 127.0.0.1 and ::1)")
	return cmd
}

// partAddresses: both kubectl's flag for where to listen and podctl's for where
// podd is have the name address; their values can't be mistaken.
func (f *forwardFlags) partAddresses(s *session) {
	var listen []string
	for _, a := range f.addresses {
		if strings.HasPrefix(a, "unix:") || strings.HasPrefix(a, "/") {
			s.address = a
		} else {
			listen = append(listen, a)
		}
	}
	if f.addresses = listen; len(listen) == 0 {
		f.addresses = []string{"localhost"}
	}
}

func (f *forwardFlags) run(ctx context.Context, s *session, arg string, ports []string) error {
	f.partAddresses(s)
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	pod, err := s.pod(ctx, c, arg)
	if err != nil {
		return err
	}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("unable to forward port because pod is not running. Current status=%s", pod.Status.Phase)
	}
	forwards := make([]forward, len(ports))
	for i, text := range ports {
		if forwards[i], err = parseForward(pod, text); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel(nil)
	for _, fw := range forwards {
		listeners, err := f.listen(fw.local)
		if err != nil {
			return err
		}
		for _, l := range listeners {
			fmt.Fprintf(s.out, "Forwarding from %s -> %d\n", l.Addr(), fw.remote)
			context.AfterFunc(ctx, func() { l.Close() })
			t := &tunnel{s: s, c: c, pod: pod, remote: fw.remote, local: l.Addr().(*net.TCPAddr).Port}
			serving.Go(func() { t.serve(ctx, l) })
		}
	}
	serving.Go(func() { cancel(c.untilGone(ctx, pod)) })
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// untilGone waits for a pod's end, which is the error.
func (c *client) untilGone(ctx context.Context, pod *corev1.Pod) error {
	req := &poddv1.WatchRequest{Kinds: []string{"Pod"}, Namespace: pod.Namespace, FieldSelector: "metadata.name=" + pod.Name}
	err := c.watch(ctx, req, func(ch change) (bool, error) {
		return ch.kind == poddv1.WatchResponse_TYPE_DELETED && ch.object.GetUID() == pod.UID, nil
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("lost connection to pod: pod %s is gone", pod.Name)
}

// parseForward reads [LOCAL:]REMOTE; no local port before the colon is any.
func parseForward(pod *corev1.Pod, text string) (forward, error) {
	local, remote, two := strings.Cut(text, ":")
	if !two {
		remote = local
	}
	to, err := remotePort(pod, remote)
	if err != nil {
		return forward{}, err
	}
	switch {
	case !two:
		return forward{to, to}, nil
	case local == "":
		return forward{0, to}, nil
	}
	from, err := strconv.ParseUint(local, 10, 16)
	if err != nil {
		return forward{}, fmt.Errorf("error parsing local port '%s': %w", local, err)
	}
	return forward{int(from), to}, nil
}

// remotePort is a number or the name of a container's port.
func remotePort(pod *corev1.Pod, text string) (int, error) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == text && text != "" {
				return int(p.ContainerPort), nil
			}
		}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("pod %s has no port %q: name one of its containers' ports, or a number from 1 to 65535", pod.Name, text)
	}
	return int(port), nil
}

// listen listens on every address; of localhost's two, one is enough.
func (f *forwardFlags) listen(port int) (all []net.Listener, err error) {
	for _, address := range f.addresses {
		hosts := []string{address}
		if address == "localhost" {
			hosts = []string{"127.0.0.1", "::1"}
		}
		before := len(all)
		var wrong []error
		for _, host := range hosts {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
			if err != nil {
				wrong = append(wrong, err)
				continue
			}
			all = append(all, l)
			port = l.Addr().(*net.TCPAddr).Port // the same for all, where any will do
		}
		if len(all) == before {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("unable to listen on port %d: %w", port, errors.Join(wrong...))
		}
	}
	return all, nil
}

// tunnel carries the connections of one listener.
type tunnel struct {
	s             *session
	c             *client
	pod           *corev1.Pod
	local, remote int
}

// serve ends when the listener is closed, and waits for its connections.
func (t *tunnel) serve(ctx context.Context, l net.Listener) {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(t.s.out, "Handling connection for %d\n", t.local)
		open.Go(func() {
			defer conn.Close()
			if err := t.carry(ctx, conn.(*net.TCPConn)); err != nil && ctx.Err() == nil {
				text, _ := t.s.describeFailure(err)
				fmt.Fprintf(t.s.errOut, "an error occurred forwarding %d -> %d: %s\n", t.local, t.remote, text)
			}
		})
	}
}

// carry copies both ways; a half-close travels.
func (t *tunnel) carry(ctx context.Context, conn *net.TCPConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	stream, err := t.c.streams.PortForward(ctx)
	if err != nil {
		return err
	}
	start := &poddv1.PortForwardRequest_Start{Pod: podRef(t.pod), Port: uint32(t.remote)}
	if err := stream.Send(&poddv1.PortForwardRequest{Kind: &poddv1.PortForwardRequest_Start_{Start: start}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := stream.Recv(); err != nil { // connected
		return err
	}
	go func() {
		if sendConnection(stream, conn) != nil {
			cancel() // the local side was reset: nobody is there any more
		}
	}()
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case resp.GetEof():
			_ = conn.CloseWrite() // it may be closed already
		default:
			if _, err := conn.Write(resp.GetData()); err != nil {
				return nil //nolint:nilerr // the local side has gone, which is its right
			}
		}
	}
}

// sendConnection passes on what the local side writes, until it closes its half
// or the stream ends.
func sendConnection(stream poddv1.Streams_PortForwardClient, conn net.Conn) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 && stream.Send(&poddv1.PortForwardRequest{Kind: &poddv1.PortForwardRequest_Data{Data: buf[:n]}}) != nil {
			return nil //nolint:nilerr // the receiving tells why the stream has ended
		}
		if errors.Is(err, io.EOF) {
			return stream.CloseSend()
		}
		if err != nil {
			return err
		}
	}
}
