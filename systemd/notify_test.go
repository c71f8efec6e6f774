package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listen is systemd's end; what it returns reads all that has come so far.
func listen(t *testing.T) (received func() []string) {
	t.Helper()
	dir := shortDir(t)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", dir+"/notify")
	return func() []string {
		var all []string
		buf := make([]byte, 4096)
		for {
			// A datagram that was sent is there: none means that no more were.
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			n, err := conn.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return all
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(buf[:n]))
		}
	}
}

func TestMessages(t *testing.T) {
	received := listen(t)
	for _, send := range []func() error{
		func() error { return Ready("2 pods run") },
		func() error { return Status("3 pods run") },
		func() error { return Extend(time.Minute) },
		Stopping,
	} {
		if err := send(); err != nil {
			t.Error(err)
		}
	}
	want := []string{"READY=1\nSTATUS=2 pods run", "STATUS=3 pods run", "EXTEND_TIMEOUT_USEC=60000000", "STOPPING=1"}
	if diff := cmp.Diff(want, received()); diff != "" {
		t.Error(diff)
	}
}

// kick is a service with a watchdog of 20 s.
func kick(t *testing.T) (received func() []string) {
	t.Helper()
	received = listen(t)
	t.Setenv("WATCHDOG_USEC", strconv.Itoa(int((20 * time.Second).Microseconds())))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return received
}

func TestWatchdog(t *testing.T) {
	received := kick(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Watchdog(ctx, well, nobody(t)) }()
		time.Sleep(25 * time.Second) // at 0, 10, 20
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	want := []string{"WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"}
	if diff := cmp.Diff(want, received()); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsStuckStarvesTheWatchdog, until it goes on.
func TestWhatIsStuckStarvesTheWatchdog(t *testing.T) {
	received := kick(t)
	var reports []string
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		check := func() error {
			if d := time.Since(began); d > 5*time.Second && d < 25*time.Second {
				return errors.New("the keeper is stuck")
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		if err := Watchdog(ctx, check, func(err error) { reports = append(reports, err.Error()) }); err != nil {
			t.Error(err)
		}
	})
	if diff := cmp.Diff([]string{"WATCHDOG=1", "WATCHDOG=1"}, received()); diff != "" { // at 0 and 30, not at 10 and 20
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"the keeper is stuck", "the keeper is stuck"}, reports); diff != "" {
		t.Error(diff)
	}
}

func well() error { return nil }

func nobody(t *testing.T) func(error) {
	return func(err error) { t.Error(err) }
}

func TestWithoutSystemdNothingHappens(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		t.Setenv(name, "")
	}
	err := errors.Join(Ready(""), Status(""), Stopping(), Watchdog(t.Context(), well, nobody(t)), Reloading(), Extend(time.Second))
	if err != nil {
		t.Error(err)
	}
}

func TestReloadingTellsTheTime(t *testing.T) {
	received := listen(t)
	if err := Reloading(); err != nil {
		t.Fatal(err)
	}
	got := received()
	if len(got) != 1 || !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=\d+\n$`).MatchString(got[0]) {
		t.Errorf("%q", got)
	}
}

func TestSystemdGone(t *testing.T) {
	listen(t)
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/socket")
	if Ready("") == nil {
		t.Error("no error when systemd cannot be told")
	}
}
