package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/podd-io/podd/pod"
)

// Prober runs HTTP, TCP and gRPC probes. It keeps no connection, and may be used by
// many goroutines.
type Prober struct{ transport *http.Transport }

// New makes a prober.
func New() *Prober { return &Prober{transport: transport()} }

// Probe runs one probe once, within its timeout. What the pod answers, and that
// it answers nothing, is an outcome. A *pod.Failure means that the probe told
// nothing: it could not be run, the answer broke off, or ctx ended. As in a
// kubelet it then counts neither for nor against the container.
func (p *Prober) Probe(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	switch {
	case cfg.Handler.HTTPGet != nil:
		return p.http(ctx, cfg)
	case cfg.Handler.TCPSocket != nil:
		return tcp(ctx, cfg)
	case cfg.Handler.GRPC != nil:
		return health(ctx, cfg)
	}
	return pod.ProbeOutcome{}, &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf("missing probe handler for %s:%s", cfg.Pod, cfg.Container)}
}

// unhealthy is the outcome of a probe that got no answer. When that is so
// because the caller gave up, it is none.
func unhealthy(ctx context.Context, err error) (pod.ProbeOutcome, error) {
	if ctx.Err() != nil {
		return pod.ProbeOutcome{}, &pod.Failure{Kind: pod.Transient, Message: err.Error()}
	}
	return pod.ProbeOutcome{Output: err.Error()}, nil
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// dialer makes connections that linger for a second once they are closed, not
// for the minute of TIME_WAIT: a host with many probes would run out of ports
// (kubernetes/kubernetes#89898). Not at all is too short: the pod would see a
// reset.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		ctl := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
		})
		if ctl != nil {
			return ctl
		}
		return err
	}}
}

// tcp: a connection that is made is health.
func tcp(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	h := cfg.Handler.TCPSocket
	host := cfg.Host
	if h.Host != "" {
		host = h.Host
	}
	conn, err := dialer(cfg.Timeout).DialContext(ctx, "tcp", address(host, h.Port.IntValue()))
	if err != nil {
		return unhealthy(ctx, err)
	}
	_ = conn.Close() // it stood: that is all that was asked
	return pod.ProbeOutcome{Healthy: true}, nil
}
