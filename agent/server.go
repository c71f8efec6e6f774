package agent

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// maxMessage bounds one message in either direction.
const maxMessage = 32 << 20

// maxStreams bounds what one connection may have open at once; a watch is one.
const maxStreams = 1000

// stopTime is how long streams have to end by themselves when podd stops.
const stopTime = 3 * time.Second

// Serve answers on the listeners until ctx ends. It may be called before Run;
// until the agent is ready, calls are refused as unavailable. It closes the
// listeners.
func (a *Agent) Serve(ctx context.Context, listeners ...net.Listener) error {
	srv := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(a.guardUnary),
		grpc.ChainStreamInterceptor(a.guardStream),
	)
	poddv1.RegisterObjectsServer(srv, &objects{a: a})
	poddv1.RegisterStreamsServer(srv, &streams{a: a})
	poddv1.RegisterImagesServer(srv, &images{a: a})
	poddv1.RegisterNodeServer(srv, &node{a: a})
	poddv1.RegisterProvidersServer(srv, providers{})
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

// guardUnary translates errors, and turns a panic into one: a defect in one
// call must not end the pods' keeper.
func (a *Agent) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer a.recovered(info.FullMethod, &err)
	if err := a.admitCall(info.FullMethod); err != nil {
		return nil, err
	}
	resp, err = next(ctx, req)
	return resp, statusError(err)
}

func (a *Agent) guardStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer a.recovered(info.FullMethod, &err)
	if err := a.admitCall(info.FullMethod); err != nil {
		return err
	}
	return statusError(next(srv, ss))
}

func (a *Agent) recovered(method string, err *error) {
	if p := recover(); p != nil {
		a.cfg.Log.Error("a call failed by a defect in podd; please report it",
			zap.String("method", method), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		*err = statusError(apierrors.NewInternalError(fmt.Errorf("%s failed by a defect in podd: see its log", method)))
	}
}

// admitCall refuses what needs the pods until they are taken up. Health and
// reflection answer always.
func (a *Agent) admitCall(method string) error {
	if a.Ready() || !strings.HasPrefix(method, "/podd.") {
		return nil
	}
	return statusError(apierrors.NewServiceUnavailable("podd is not ready: it has not taken up its pods yet, or it is stopping"))
}
