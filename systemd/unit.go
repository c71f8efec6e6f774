package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
)

// askTime bounds a question to systemd.
const askTime = time.Second

// ActiveState is a unit's: "active", "inactive", "activating" and so on. A unit
// that systemd does not know is inactive. Source: org.freedesktop.systemd1(5).
func ActiveState(ctx context.Context, unit string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := dbus.NewSystemdConnectionContext(ctx) // as root, without a bus
	if err != nil {
		return "", fmt.Errorf("systemd does not answer: %w", err)
	}
	defer conn.Close()
	state, err := conn.GetUnitPropertyContext(ctx, unit, "ActiveState")
	if err != nil {
		return "", fmt.Errorf("ask systemd for %s: %w", unit, err)
	}
	text, ok := state.Value.Value().(string)
	if !ok {
		return "", fmt.Errorf("ask systemd for %s: its ActiveState is %s", unit, state.Value)
	}
	return text, nil
}
