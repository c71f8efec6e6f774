package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/podd-io/podd/systemd"
)

// The control endpoint has askTime for an answer, and may be without one for
// silentTime: a machine that is very busy is no defect of podd's.
const (
	askTime    = 10 * time.Second
	silentTime = 3 * time.Minute
)

// vigil is what systemd's watchdog is fed by. It belongs to one goroutine.
type vigil struct {
	// alive tells what of the agent makes no progress; ready whether it is to
	// answer; ask asks the control endpoint.
	alive func() error
	ready func() bool
	ask   func() error
	// answered is when it last did, or was not to.
	answered time.Time
}

// check tells what of podd does not live any more. now has to be of a clock that
// nobody sets.
func (v *vigil) check(now time.Time) error {
	err := v.ask()
	if err == nil || !v.ready() || v.answered.IsZero() {
		v.answered = now
	}
	if silent := now.Sub(v.answered); silent > silentTime {
		return errors.Join(v.alive(), fmt.Errorf("the control endpoint has not answered for %s: %w", silent.Round(time.Second), err))
	}
	return v.alive()
}

// feedWatchdog feeds systemd's watchdog until ctx ends, as long as podd lives.
func (d *podd) feedWatchdog(ctx context.Context) error {
	v := vigil{
		alive: func() error {
			if a := d.agent.Load(); a != nil {
				return a.Alive()
			}
			return nil // TimeoutStartSec bounds a start
		},
		ready: func() bool { a := d.agent.Load(); return a != nil && a.Ready() },
		ask:   func() error { return d.askSelf(ctx) },
	}
	err := systemd.Watchdog(ctx, func() error { return v.check(time.Now()) }, func(err error) {
		d.log.Error("systemd's watchdog is not fed; it ends podd if that lasts, and pods run on", zap.Error(err))
	})
	d.tell(err)
	return nil
}

// askSelf asks the first unix socket: over TCP podd would have to show a
// certificate.
func (d *podd) askSelf(ctx context.Context) error {
	i := slices.IndexFunc(d.cfg.Listen, func(address string) bool { return !isTCP(address) })
	if i < 0 {
		return nil
	}
	return answering(ctx, d.cfg.Listen[i])
}

// answering asks an endpoint for its health. Any answer will do.
func answering(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled {
		return err
	}
	return nil
}
