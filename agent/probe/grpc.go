package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/podd-io/podd/pod"
)

// health asks grpc.health.v1 for a service, without TLS. The timeout is for
// the connection and the answer together. As in a kubelet a connection that is
// refused is tried again until then, and whatever goes wrong is a failure.
func health(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	timed, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	h := cfg.Handler.GRPC
	conn, err := connect(timed, address(cfg.Host, int(h.Port)), cfg.Timeout)
	if err != nil {
		return unhealthy(ctx, err)
	}
	defer conn.Close()
	ask := &healthv1.HealthCheckRequest{}
	if h.Service != nil {
		ask.Service = *h.Service
	}
	resp, err := healthv1.NewHealthClient(conn).Check(timed, ask)
	if err != nil {
		return unhealthy(ctx, refusal(err, cfg.Timeout))
	}
	if resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return pod.ProbeOutcome{Output: fmt.Sprintf("service unhealthy (responded with %q)", resp.GetStatus())}, nil
	}
	return pod.ProbeOutcome{Healthy: true, Output: "service healthy"}, nil
}

// connect makes a connection and waits until it stands. The caller closes it.
func connect(ctx context.Context, addr string, timeout time.Duration) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithUserAgent(userAgent),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer(0).DialContext(ctx, "tcp", addr)
		}))
	if err != nil {
		return nil, fmt.Errorf("error: failed to connect service at %q: %w", addr, err)
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.Idle {
			conn.Connect() // it stood, and was lost at once
		}
		if !conn.WaitForStateChange(ctx, state) {
			_ = conn.Close() // nothing was asked of it yet
			return nil, fmt.Errorf("timeout: failed to connect service %q within %v: %w", addr, timeout, ctx.Err())
		}
	}
	return conn, nil
}

// refusal words the error of a call as a kubelet does.
func refusal(err error, timeout time.Duration) error {
	switch stat := status.Convert(err); stat.Code() {
	case codes.Unimplemented:
		return errors.New("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + stat.Message())
	case codes.DeadlineExceeded:
		return fmt.Errorf("timeout: health rpc did not complete within %v", timeout)
	}
	return fmt.Errorf("error: health rpc probe failed: %w", err)
}
