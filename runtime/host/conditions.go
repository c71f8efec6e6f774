package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// Conditions tell how the machine stands to what pods wait for.
type Conditions struct {
	// Unit tells a unit's active state, as systemd words it.
	Unit func(ctx context.Context, name string) (string, error)
}

// Stands implements agent.Conditions for all but other pods.
func (h Conditions) Stands(ctx context.Context, c pod.StartCondition) pod.Standing {
	met, detail, err := h.look(ctx, c)
	if err != nil {
		return pod.Standing{Detail: err.Error()}
	}
	return pod.Standing{Met: met, Detail: detail}
}

func (h Conditions) look(ctx context.Context, c pod.StartCondition) (met bool, detail string, err error) {
	switch c.Kind {
	case pod.AfterUnit:
		state, err := h.Unit(ctx, c.Name)
		return state == c.State, "it is " + state, err
	case pod.AfterPath:
		return exists(c.Name, func(fs.FileMode) bool { return true }, "")
	case pod.AfterDevice:
		return exists(c.Name, func(m fs.FileMode) bool { return m&fs.ModeDevice != 0 }, "it is not a device")
	case pod.AfterNet:
		return defaultRoute()
	case pod.AfterTime:
		return synchronised()
	}
	return false, "", fmt.Errorf("podd does not know such a condition")
}

// exists follows links, as whoever opens the path will.
func exists(path string, is func(fs.FileMode) bool, otherwise string) (bool, string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, "it is not there", nil
	}
	if err != nil {
		return false, "", err
	}
	return is(info.Mode()), otherwise, nil
}

// defaultRoute looks for one of either family, as a network that is online has.
func defaultRoute() (bool, string, error) {
	v4, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return false, "", err
	}
	if len(defaultRoutes(string(v4))) > 0 {
		return true, "", nil
	}
	v6, err := os.ReadFile("/proc/net/ipv6_route")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // there may be no IPv6
		return false, "", err
	}
	return hasDefaultRoute6(string(v6)), "there is none", nil
}

// hasDefaultRoute6 reads /proc/net/ipv6_route. The kernel's own route that
// rejects what has no other is none.
func hasDefaultRoute6(table string) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) == 10 && f[0] == strings.Repeat("0", 32) && f[1] == "00" && f[9] != "lo" {
			return true
		}
	}
	return false
}

// synchronised asks the kernel, which whoever keeps the clock tells: chrony,
// ntpd, systemd-timesyncd. Source: adjtimex(2).
func synchronised() (bool, string, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, "", fmt.Errorf("ask the kernel about its clock: %w", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, "the kernel's clock is not", nil
}
