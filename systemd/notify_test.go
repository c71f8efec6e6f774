package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listen is systemd's end; what it returns reads all that has come so far.
func listen(t *testing.T) (received func() []string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
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
		Stopping,
	} {
		if err := send(); err != nil {
			t.Error(err)
		}
	}
	want := []string{"READY=1\nSTATUS=2 pods run", "STATUS=3 pods run", "STOPPING=1"}
	if diff := cmp.Diff(want, received()); diff != "" {
		t.Error(diff)
	}
}

func TestWatchdog(t *testing.T) {
	received := listen(t)
	t.Setenv("WATCHDOG_USEC", strconv.Itoa(int((20 * time.Second).Microseconds())))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Watchdog(ctx) }()
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

func TestWithoutSystemdNothingHappens(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		t.Setenv(name, "")
	}
	err := errors.Join(Ready(""), Status(""), Stopping(), Watchdog(t.Context()))
	if err != nil {
		t.Error(err)
	}
}

func TestSystemdGone(t *testing.T) {
	listen(t)
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/socket")
	if Ready("") == nil {
		t.Error("no error when systemd cannot be told")
	}
}
