package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	bus "github.com/godbus/dbus/v5"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/login1"
)

// Delay is a hold on the machine's end, which logind grants for as long as its
// InhibitDelayMaxSec.
type Delay struct {
	// Down is called when the machine begins to go down, which is delayed until it
	// returns. Its ctx ends when the machine stays up after all; Up is called then.
	Down func(context.Context)
	Up   func(context.Context)
	// Taken is told, whenever the hold is taken, how long logind lets it be.
	Taken func(time.Duration)
}

// Keep takes the hold and keeps it until ctx ends, which is no error, or logind is
// lost. It can be called again then.
func (d Delay) Keep(ctx context.Context) error {
	limit, err := inhibitDelayMax(ctx)
	if err != nil {
		return fmt.Errorf("ask logind how long a shutdown may be delayed: %w", err)
	}
	conn, err := login1.New()
	if err != nil {
		return fmt.Errorf("reach logind: %w", err)
	}
	defer conn.Close()
	signals := conn.Subscribe("PrepareForShutdown") // before the hold: none is missed
	lock, err := inhibit(conn)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	d.Taken(limit)
	down := descent{ended: make(chan struct{})}
	defer func() { down.abandon() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-down.ended:
			_ = lock.Close()
			down.ended = nil
		case s, ok := <-signals:
			if !ok {
				return errors.New("logind is lost")
			}
			going, is := prepare(s)
			switch {
			case !is:
			case going && !down.began:
				down = descend(ctx, d.Down)
			case !going && down.began:
				down.abandon()
				down = descent{}
				d.Up(ctx)
				_ = lock.Close()
				if lock, err = inhibit(conn); err != nil {
					return err
				}
			}
		}
	}
}

// descent is one going down of the machine.
type descent struct {
	began  bool
	cancel context.CancelFunc
	ended  chan struct{}
	done   chan struct{}
}

func descend(ctx context.Context, down func(context.Context)) descent {
	ctx, cancel := context.WithCancel(ctx)
	d := descent{began: true, cancel: cancel, ended: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		down(ctx)
		close(d.ended)
	}()
	return d
}

// abandon ends it, and waits until it has.
func (d *descent) abandon() {
	if d.began {
		d.cancel()
		<-d.done
	}
}

func inhibit(conn *login1.Conn) (*os.File, error) {
	lock, err := conn.Inhibit("shutdown", "podd", "Pods are being ended", "delay")
	if err != nil {
		return nil, fmt.Errorf("have logind delay shutdowns: %w", err)
	}
	return lock, nil
}

// prepare reads the signal PrepareForShutdown.
func prepare(s *bus.Signal) (going, ok bool) {
	if s.Name != "org.freedesktop.login1.Manager.PrepareForShutdown" || len(s.Body) != 1 {
		return false, false
	}
	going, ok = s.Body[0].(bool)
	return going, ok
}

// inhibitDelayMax is logind's InhibitDelayMaxSec.
func inhibitDelayMax(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := bus.ConnectSystemBus(bus.WithContext(ctx))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	v, err := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").GetProperty("org.freedesktop.login1.Manager.InhibitDelayMaxUSec")
	if err != nil {
		return 0, err
	}
	micros, ok := v.Value().(uint64)
	if !ok {
		return 0, fmt.Errorf("InhibitDelayMaxUSec is %s", v)
	}
	return time.Duration(micros) * time.Microsecond, nil
}

// GoingDown says whether the machine is going down, by what systemd says. Where
// there is no systemd it is not known to be.
func GoingDown(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := dbus.NewSystemdConnectionContext(ctx) // as root, without a bus
	if err != nil {
		return false, fmt.Errorf("systemd does not answer: %w", err)
	}
	defer conn.Close()
	state, err := conn.SystemStateContext(ctx)
	if err != nil {
		return false, fmt.Errorf("ask systemd how the machine does: %w", err)
	}
	return state.Value.Value() == "stopping", nil
}
