package systemd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bus "github.com/godbus/dbus/v5"
)

// logind is one on a bus of the test's own. What podd holds of it is the writing
// end of a pipe, as with the real one.
type logind struct {
	t    *testing.T
	conn *bus.Conn
	// stop ends the bus.
	stop func()
	// held are the reading ends of the holds that were granted, asked what they
	// were asked for with.
	held  chan *os.File
	asked chan string
}

const login1Path = bus.ObjectPath("/org/freedesktop/login1")

// newLogind starts a bus, which this process takes for the system's from now on,
// and a logind on it.
func newLogind(t *testing.T) *logind {
	t.Helper()
	stop := startBus(t)
	conn, err := bus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	l := &logind{t: t, conn: conn, stop: stop, held: make(chan *os.File, 10), asked: make(chan string, 10)}
	t.Cleanup(func() { _ = conn.Close() })
	for name, table := range map[string]map[string]any{
		"org.freedesktop.login1.Manager":  {"Inhibit": l.inhibit},
		"org.freedesktop.DBus.Properties": {"Get": l.get},
	} {
		if err := conn.ExportMethodTable(table, login1Path, name); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := conn.RequestName("org.freedesktop.login1", bus.NameFlagDoNotQueue); err != nil || reply != bus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%v, %v", reply, err)
	}
	return l
}

func startBus(t *testing.T) (stop func()) {
	t.Helper()
	dir := shortDir(t)
	config := `<busconfig><type>system</type><listen>unix:path=` + dir + `/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>`
	if err := os.WriteFile(filepath.Join(dir, "bus.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--config-file="+filepath.Join(dir, "bus.conf"), "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(stop)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the bus does not start: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dir+"/bus")
	return stop
}

func (l *logind) inhibit(what, who, why, mode string) (bus.UnixFD, *bus.Error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, bus.MakeFailedError(err)
	}
	l.t.Cleanup(func() { _ = r.Close() })
	l.asked <- strings.Join([]string{what, who, why, mode}, "|")
	l.held <- r
	fd := bus.UnixFD(w.Fd())
	// The message takes a copy; this one goes once it was sent.
	time.AfterFunc(time.Second, func() { _ = w.Close() })
	return fd, nil
}

func (l *logind) get(_, name string) (bus.Variant, *bus.Error) {
	if name != "InhibitDelayMaxUSec" {
		return bus.Variant{}, bus.MakeFailedError(errors.New("there is no " + name))
	}
	return bus.MakeVariant(uint64(120_000_000)), nil
}

func (l *logind) prepareForShutdown(going bool) {
	l.t.Helper()
	if err := l.conn.Emit(login1Path, "org.freedesktop.login1.Manager.PrepareForShutdown", going); err != nil {
		l.t.Fatal(err)
	}
}

// released waits until a hold is given up.
func released(t *testing.T, hold *os.File) {
	t.Helper()
	if err := hold.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the hold is kept: %v", err)
	}
}

func stillHeld(t *testing.T, hold *os.File) {
	t.Helper()
	if err := hold.SetReadDeadline(time.Now().Add(1500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the hold is given up: %v", err)
	}
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(5 * time.Second):
		t.Fatalf("%s does not come", what)
		panic("unreachable")
	}
}

func TestAShutdownIsDelayedUntilPodsHaveEnded(t *testing.T) {
	l := newLogind(t)
	began, ended, up := make(chan bool, 1), make(chan bool), make(chan bool, 1)
	taken := make(chan time.Duration, 10)
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() {
		kept <- Delay{
			Down: func(ctx context.Context) {
				began <- true
				select {
				case <-ended:
				case <-ctx.Done():
				}
			},
			Up:    func(context.Context) { up <- true },
			Taken: func(limit time.Duration) { taken <- limit },
		}.Keep(ctx)
	}()
	if limit := await(t, "the hold", taken); limit != 2*time.Minute {
		t.Errorf("logind's limit is %s", limit)
	}
	if asked := await(t, "the wish", l.asked); asked != "shutdown|podd|Pods are being ended|delay" {
		t.Errorf("asked for %s", asked)
	}
	hold := await(t, "the hold", l.held)

	l.prepareForShutdown(true)
	await(t, "the end of the pods", began)
	stillHeld(t, hold)
	l.prepareForShutdown(false) // somebody has taken it back
	await(t, "the pods' return", up)
	released(t, hold)
	hold = await(t, "the next hold", l.held)

	l.prepareForShutdown(true)
	await(t, "the end of the pods", began)
	stillHeld(t, hold)
	ended <- true
	released(t, hold)
	cancel()
	if err := await(t, "the end", kept); err != nil {
		t.Error(err)
	}
}

func TestLogindIsLost(t *testing.T) {
	l := newLogind(t)
	kept := make(chan error, 1)
	taken := make(chan time.Duration, 1)
	d := Delay{Down: func(context.Context) {}, Up: func(context.Context) {}, Taken: func(d time.Duration) { taken <- d }}
	go func() { kept <- d.Keep(t.Context()) }()
	await(t, "the hold", taken)
	l.stop()
	if err := await(t, "the end", kept); err == nil || err.Error() != "logind is lost" {
		t.Errorf("%v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
	if err := d.Keep(t.Context()); err == nil || !strings.Contains(err.Error(), "logind") {
		t.Errorf("without a bus: %v", err)
	}
}
