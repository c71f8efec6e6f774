package systemd

import (
	"strings"
	"testing"
)

// TestWithoutSystemd holds on the build machines; the test in a virtual machine
// asks a systemd that is there.
func TestWithoutSystemd(t *testing.T) {
	state, err := ActiveState(t.Context(), "ssh.service")
	if err == nil && state != "active" && state != "inactive" || err != nil && !strings.Contains(err.Error(), "systemd does not answer") {
		t.Errorf("%q, %v", state, err)
	}
}
