package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells that start-up is complete, with a status line for people.
func Ready(status string) error { return notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// Status replaces the status line.
func Status(status string) error { return notify("STATUS=" + status) }

// Stopping tells that the orderly end has begun.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Watchdog tells systemd that podd lives, twice in every interval that the unit
// asks for, until ctx ends. Without such a unit it returns at once. What podd
// waits for, a hung containerd among it, is no reason not to live. A failure to
// tell systemd does not end it; the last one is returned.
func Watchdog(ctx context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's interval: %w", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	var last error
	for {
		last = notify(daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// notify sends one message and leaves $NOTIFY_SOCKET as it is: more will follow.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
