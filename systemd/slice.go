package systemd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	systemddbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Slices makes and removes slices of systemd's. It may be used by many
// goroutines at once.
//
// Every call has a connection of its own: over one that stays, systemd would
// tell podd of every change of every unit.
type Slices struct{}

// Make starts a slice with limits; where it is there already it only sets them.
// They are properties of systemd.resource-control(5) by their names on the bus
// and in its units. The slices above it start with it. A shutdown does not stop
// it before its time: who made it ends first what is in it.
func (Slices) Make(ctx context.Context, name, description string, limits map[string]uint64) error {
	err := connected(ctx, func(conn *systemddbus.Conn) error {
		set := properties(limits)
		err := job(ctx, func(done chan<- string) error {
			_, err := conn.StartTransientUnitContext(ctx, name, "replace", slices.Concat(unlimited(description), set), done)
			return err
		})
		if !is(err, "org.freedesktop.systemd1.UnitExists") {
			return err
		}
		return adopt(ctx, conn, name, set)
	})
	if err != nil {
		return fmt.Errorf("make slice %s: %w", name, err)
	}
	return nil
}

// adopt is for a slice that runs, or that a file describes.
func adopt(ctx context.Context, conn *systemddbus.Conn, name string, set []systemddbus.Property) error {
	err := job(ctx, func(done chan<- string) error {
		_, err := conn.StartUnitContext(ctx, name, "replace", done)
		return err
	})
	if err != nil || len(set) == 0 {
		return err
	}
	return conn.SetUnitPropertiesContext(ctx, name, true, set...)
}

// Stop stops a slice and whatever unit is in it, killing its processes. One
// that systemd does not know is success.
func (Slices) Stop(ctx context.Context, name string) error {
	err := connected(ctx, func(conn *systemddbus.Conn) error {
		return job(ctx, func(done chan<- string) error {
			_, err := conn.StopUnitContext(ctx, name, "replace", done)
			return err
		})
	})
	if err != nil && !is(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return fmt.Errorf("stop slice %s: %w", name, err)
	}
	return nil
}

func connected(ctx context.Context, do func(*systemddbus.Conn) error) error {
	conn, err := systemddbus.NewSystemdConnectionContext(ctx) // as root, without a bus
	if err != nil {
		return fmt.Errorf("systemd does not answer: %w", err)
	}
	defer conn.Close()
	return do(conn)
}

// job has systemd do something and waits until it is done.
func job(ctx context.Context, begin func(done chan<- string) error) error {
	done := make(chan string, 1)
	if err := begin(done); err != nil {
		return err
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("systemd's job ended as %q", result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("systemd's job is not done: %w", ctx.Err())
	}
}

// unlimited are the properties of a new slice. Accounting gives it the
// controllers, of which its counters are read.
func unlimited(description string) []systemddbus.Property {
	out := []systemddbus.Property{
		systemddbus.PropDescription(description),
		{Name: "DefaultDependencies", Value: dbus.MakeVariant(false)},
	}
	for _, controller := range []string{"CPU", "Memory", "IO", "Tasks"} {
		out = append(out, systemddbus.Property{Name: controller + "Accounting", Value: dbus.MakeVariant(true)})
	}
	return out
}

func properties(limits map[string]uint64) []systemddbus.Property {
	var out []systemddbus.Property
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		out = append(out, systemddbus.Property{Name: name, Value: dbus.MakeVariant(limits[name])})
	}
	return out
}

func is(err error, name string) bool {
	var failed dbus.Error
	return errors.As(err, &failed) && failed.Name == name
}
