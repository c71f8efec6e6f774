package systemd

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestSlicesWithoutSystemd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const name = "poddtest-none.slice"
	if err := (Slices{}).Stop(ctx, name); err != nil && !strings.Contains(err.Error(), "stop slice "+name+": systemd does not answer") {
		t.Error(err)
	}
	if err := (Slices{}).Make(ctx, "poddtest none.slice", "", nil); err == nil || !strings.HasPrefix(err.Error(), "make slice poddtest none.slice: ") {
		t.Errorf("a slice that can't be: %v", err)
	}
}

// TestWithoutSystemd holds on the build machines; the test in a virtual machine
// asks a systemd that is there.
func TestWithoutSystemd(t *testing.T) {
	state, err := ActiveState(t.Context(), "ssh.service")
	if err == nil && state != "active" && state != "inactive" || err != nil && !strings.Contains(err.Error(), "systemd does not answer") {
		t.Errorf("%q, %v", state, err)
	}
}
