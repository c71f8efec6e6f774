package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells that start-up is complete, or that what was read anew is in
// effect, with a status line for people.
func Ready(status string) error { return notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// Reloading tells that the configuration is being read anew. Ready has to follow.
func Reloading() error {
	return notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Status replaces the status line.
func Status(status string) error { return notify("STATUS=" + status) }

// Stopping tells that the orderly end has begun.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Extend asks for so much time from now on before systemd holds the start or the
// end, whichever is under way, for failed.
func Extend(by time.Duration) error {
	return notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds()))
}

// Watchdog tells systemd that podd lives, twice in every interval that the unit
// asks for, until ctx ends. Without such a unit it returns at once. check says
// what does not live, if anything: systemd is not told then, and ends podd when
// that lasts. report is told of that, and of a failure to tell systemd.
func Watchdog(ctx context.Context, check func() error, report func(error)) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's interval: %w", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			err = notify(daemon.SdNotifyWatchdog)
		}
		if err != nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return nil
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
