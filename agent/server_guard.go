package agent

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// firstMessageTime is how long a caller that opened a stream has to send the
// message that says what it is for.
const firstMessageTime = 30 * time.Second

// guardUnary translates errors, and turns a panic into one: a defect in one
// call must not end the pods' keeper.
func (a *Agent) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer a.recovered(info.FullMethod, &err)
	if err := a.admitCall(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	resp, err = next(ctx, req)
	return resp, statusError(err)
}

func (a *Agent) guardStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer a.recovered(info.FullMethod, &err)
	if err := a.admitCall(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	left, err := enter(ss.Context())
	if err != nil {
		return statusError(err)
	}
	defer left()
	return statusError(next(srv, &incoming{ServerStream: ss, awaited: info.IsClientStream}))
}

func (a *Agent) recovered(method string, err *error) {
	if p := recover(); p != nil {
		a.cfg.Log.Error("a call failed by a defect in podd; please report it",
			zap.String("method", method), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		*err = statusError(apierrors.NewInternalError(fmt.Errorf("%s failed by a defect in podd: see its log", method)))
	}
}

// admitCall refuses what needs the pods until they are taken up. Health and
// reflection answer always, but on a connection too many.
func (a *Agent) admitCall(ctx context.Context, method string) error {
	if err := tooManyConnections(ctx); err != nil {
		return statusError(err)
	}
	if a.Ready() || !strings.HasPrefix(method, "/podd.") {
		return nil
	}
	return statusError(apierrors.NewServiceUnavailable("podd is not ready: it has not taken up its pods yet, or it is stopping"))
}

// unknownMethod answers calls of what is not there.
func (a *Agent) unknownMethod(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.Method(ss.Context())
	return status.Errorf(codes.Unimplemented, "%s is not in this podd's API: the name is wrong, or of another version of podd; reflection lists what is there", method)
}

// incoming is a stream whose caller is held to say what it wants: awaited until
// its first message was asked for.
type incoming struct {
	grpc.ServerStream
	// awaited is the receiving goroutine's own.
	awaited bool
}

// RecvMsg gives the first message up after firstMessageTime. The receiving ends
// with the call then.
func (s *incoming) RecvMsg(m any) error {
	if !s.awaited {
		return s.ServerStream.RecvMsg(m)
	}
	s.awaited = false
	came := make(chan error, 1)
	go func() { came <- s.ServerStream.RecvMsg(m) }()
	timer := time.NewTimer(firstMessageTime)
	defer timer.Stop()
	select {
	case err := <-came:
		return err
	case <-timer.C:
		return status.Errorf(codes.DeadlineExceeded, "the first message, which says what the stream is for, did not come within %s", firstMessageTime)
	}
}
