package agent

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// maxMessage bounds one message in either direction.
const maxMessage = 32 << 20

// maxCalls is how many calls of one connection HTTP/2 lets through at once. It
// leaves room beside the streams, which are refused in clear.
const maxCalls = maxConnectionStreams + 250

// Connections that have no call for idleTime are closed; clients open another
// when they need it. Who connects and does not speak HTTP/2 is closed after
// handshakeTime.
const (
	idleTime      = 30 * time.Minute
	handshakeTime = 10 * time.Second
)

// stopTime is how long streams have to end by themselves when podd stops.
const stopTime = 3 * time.Second

// Serve answers on the listeners until ctx ends. It may be called before Run;
// until the agent is ready, calls are refused as unavailable. It closes the
// listeners.
func (a *Agent) Serve(ctx context.Context, listeners ...net.Listener) error {
	srv := a.newServer()
	alive := health.NewServer()
	alive.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(srv, alive)
	reflection.Register(srv)

	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { errs <- srv.Serve(l) }()
	}
	failed := a.serveUntil(ctx, alive, errs)
	alive.Shutdown()
	gently(srv)
	return failed
}

// newServer has podd's own services, guarded and bounded.
func (a *Agent) newServer() *grpc.Server {
	srv := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxCalls), grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second, MaxConnectionIdle: idleTime}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.Creds(peerCredentials{}), grpc.StatsHandler(&callers{}), grpc.ForceServerCodecV2(newSharing()),
		grpc.ChainUnaryInterceptor(a.guardUnary),
		grpc.ChainStreamInterceptor(a.guardStream),
		grpc.UnknownServiceHandler(a.unknownMethod),
	)
	poddv1.RegisterObjectsServer(srv, &objects{a: a, encoded: newEncodings()})
	poddv1.RegisterStreamsServer(srv, &streams{a: a})
	poddv1.RegisterImagesServer(srv, &images{a: a})
	poddv1.RegisterNodeServer(srv, &node{a: a})
	poddv1.RegisterProvidersServer(srv, providers{})
	poddv1.RegisterInsightServer(srv, &insight{a: a})
	return srv
}

// serveUntil waits for the end, and tells of health meanwhile.
func (a *Agent) serveUntil(ctx context.Context, alive *health.Server, errs <-chan error) error {
	taken := a.taken
	for {
		select {
		case <-taken:
			alive.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
			taken = nil
		case <-ctx.Done():
			return nil
		case err := <-errs:
			return fmt.Errorf("serve: %w", err)
		}
	}
}

// gently lets calls end, but not for ever.
func gently(srv *grpc.Server) {
	done := make(chan struct{})
	go func() { srv.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-time.After(stopTime):
		srv.Stop()
		<-done
	}
}
