package cni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// Dial connects to a TCP port on the loopback of a pod, IPv4 before IPv6, as a
// kubelet's runtimes do: what listens there only is reached too. The caller
// closes the connection.
func (n *Network) Dial(ctx context.Context, p *corev1.Pod, port uint16) (net.Conn, error) {
	if p.Spec.HostNetwork {
		return dialLoopback(ctx, port)
	}
	path := n.nsPath(p.UID)
	if !isNamespace(path) {
		return nil, &pod.Failure{Kind: pod.NotFound, Message: fmt.Sprintf("pod %s/%s has no network", p.Namespace, p.Name)}
	}
	var conn net.Conn
	err := away(func() error {
		if err := enter(path); err != nil {
			return err
		}
		var err error
		conn, err = dialLoopback(ctx, port)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect into pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return conn, nil
}

func enter(path string) error {
	there, err := os.Open(path)
	if err != nil {
		return err
	}
	defer there.Close()
	return unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
}

// dialLoopback connects to a TCP port of the thread's network namespace. The
// socket is made on the caller's thread: the address needs no resolving.
func dialLoopback(ctx context.Context, port uint16) (net.Conn, error) {
	var dialer net.Dialer
	at := strconv.Itoa(int(port))
	conn, err := dialer.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", at))
	if err == nil || ctx.Err() != nil {
		return conn, err
	}
	conn, six := dialer.DialContext(ctx, "tcp6", net.JoinHostPort("::1", at))
	switch {
	case six == nil:
		return conn, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, &pod.Failure{Kind: pod.Transient, Message: fmt.Sprintf("nothing listens on port %d: %v", port, err)}
	}
	return nil, err
}
