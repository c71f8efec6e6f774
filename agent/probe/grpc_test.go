package probe_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent/probe"
	"github.com/podd-io/podd/pod"
)

// grpcConfig probes a service on l.
func grpcConfig(l net.Listener, service string) pod.ProbeConfig {
	return pod.ProbeConfig{
		Container: "db", Kind: pod.Readiness, Host: "127.0.0.1", Timeout: 10 * time.Second,
		Handler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(l.Addr().(*net.TCPAddr).Port), Service: &service}},
	}
}

// serveGRPC serves on a new listener until the test ends.
func serveGRPC(t *testing.T, register func(*grpc.Server), opts ...grpc.ServerOption) net.Listener {
	t.Helper()
	l := silent(t)
	s := grpc.NewServer(opts...)
	register(s)
	go s.Serve(l) //nolint:errcheck // Stop ends it
	t.Cleanup(s.Stop)
	return l
}

func healthServer(s *grpc.Server) {
	h := health.NewServer()
	h.SetServingStatus("store", healthv1.HealthCheckResponse_SERVING)
	h.SetServingStatus("cache", healthv1.HealthCheckResponse_NOT_SERVING)
	h.SetServingStatus("new", healthv1.HealthCheckResponse_UNKNOWN)
	healthv1.RegisterHealthServer(s, h)
}

func runGRPC(t *testing.T, cfg pod.ProbeConfig) pod.ProbeOutcome {
	t.Helper()
	out, err := probe.New().Probe(t.Context(), cfg)
	if err != nil {
		t.Error(err)
	}
	return out
}

func TestGRPC(t *testing.T) {
	l := serveGRPC(t, healthServer)
	for service, want := range map[string]pod.ProbeOutcome{
		"":      {Healthy: true, Output: "service healthy"},
		"store": {Healthy: true, Output: "service healthy"},
		"cache": {Output: `service unhealthy (responded with "NOT_SERVING")`},
		"new":   {Output: `service unhealthy (responded with "UNKNOWN")`},
		"other": {Output: "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"},
	} {
		if got := runGRPC(t, grpcConfig(l, service)); got != want {
			t.Errorf("%q: %+v", service, got)
		}
	}
	cfg := grpcConfig(l, "")
	cfg.Handler.GRPC.Service = nil
	if got := runGRPC(t, cfg); !got.Healthy {
		t.Errorf("without a service: %+v", got)
	}
}

func TestGRPCOfAServerWithoutHealth(t *testing.T) {
	l := serveGRPC(t, func(*grpc.Server) {})
	want := "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health"
	if got := runGRPC(t, grpcConfig(l, "")); got.Healthy || got.Output != want {
		t.Errorf("%+v", got)
	}
}

// answers is a health service of one function.
type answers struct {
	healthv1.UnimplementedHealthServer
	check func(context.Context) error
}

func (a answers) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, a.check(ctx)
}

func TestGRPCTellsWhoItIs(t *testing.T) {
	var agent atomic.Value
	t.Setenv("HTTPS_PROXY", "http://elsewhere.invalid")
	l := serveGRPC(t, func(s *grpc.Server) {
		healthv1.RegisterHealthServer(s, answers{check: func(ctx context.Context) error {
			md, _ := metadata.FromIncomingContext(ctx)
			agent.Store(strings.Join(md["user-agent"], ","))
			return nil
		}})
	})
	got := runGRPC(t, grpcConfig(l, ""))
	if name, _ := agent.Load().(string); !got.Healthy || !strings.HasPrefix(name, "kube-probe/1.37 grpc-go/") {
		t.Errorf("%q, %+v", name, got)
	}
}

func TestGRPCTimeouts(t *testing.T) {
	hangs := serveGRPC(t, func(s *grpc.Server) {
		healthv1.RegisterHealthServer(s, answers{check: func(ctx context.Context) error {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}})
	})
	mute, closed := silent(t), silent(t)
	_ = closed.Close() // its port refuses from now on
	connect := func(l net.Listener) string {
		return `timeout: failed to connect service "` + l.Addr().String() + `" within 100ms: context deadline exceeded`
	}
	for l, want := range map[net.Listener]string{
		hangs: "timeout: health rpc did not complete within 100ms", mute: connect(mute), closed: connect(closed),
	} {
		cfg := grpcConfig(l, "")
		cfg.Timeout = 100 * time.Millisecond
		if got := runGRPC(t, cfg); got.Healthy || got.Output != want {
			t.Errorf("%+v, not %s", got, want)
		}
	}
}

func TestGRPCErrorsAreFailures(t *testing.T) {
	l := serveGRPC(t, func(s *grpc.Server) {
		healthv1.RegisterHealthServer(s, answers{check: func(context.Context) error { return status.Error(codes.Internal, "broken") }})
	})
	want := "error: health rpc probe failed: rpc error: code = Internal desc = broken"
	if got := runGRPC(t, grpcConfig(l, "")); got.Healthy || got.Output != want {
		t.Errorf("%+v", got)
	}
}

func TestGRPCTheCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := probe.New().Probe(ctx, grpcConfig(silent(t), ""))
	var f *pod.Failure
	if !errors.As(err, &f) || f.Kind != pod.Transient {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestGRPCLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	l := silent(t)
	s := grpc.NewServer()
	healthServer(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for range 3 {
		runGRPC(t, grpcConfig(l, "store"))
	}
	s.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	goroutinesBackTo(t, before)
}
