package runtime

import (
	"syscall"
	"testing"
)

func TestStopSignal(t *testing.T) {
	for name, want := range map[string]syscall.Signal{"": 0, "SIGQUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1, "10": 10, "nonsense": 0} {
		if got := stopSignal(name); got != want {
			t.Errorf("stopSignal(%q) = %d, want %d", name, got, want)
		}
	}
}
