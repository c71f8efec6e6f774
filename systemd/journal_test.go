package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// asLogger is set for a process that logs to a journal of the test's own: its
// place is fixed, so that the process is in a mount namespace of its own.
const asLogger = "PODD_TEST_JOURNAL"

const journalDir = "/run/systemd/journal"

// logging is what that process does.
func logging() int {
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""), os.MkdirAll(journalDir, 0o755)); err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: journalDir + "/socket", Net: "unixgram"})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	j := NewJournal()
	log := zap.New(j.Core(zapcore.InfoLevel)).With(zap.String("pod", "default/web"), zap.String("uid", "u-1"))
	log.Debug("nobody sees this")
	log.Warn("action failed", zap.Duration("took", 1500*time.Millisecond), zap.Error(errors.New("two\nlines")), zap.Strings("in effect", []string{"a", "b"}))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	j.Close(ctx)
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	_, _ = os.Stdout.Write(buf[:n])
	return 0
}

func TestTheJournalGetsFields(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asLogger+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"PRIORITY=4\n", "SYSLOG_IDENTIFIER=podd\n", "POD=default/web\n", "POD_NAMESPACE=default\n", "POD_NAME=web\n", "POD_UID=u-1\n",
		"TOOK=1.5s\n", "IN_EFFECT=a, b\n", "ERROR\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n",
		`MESSAGE=action failed pod=default/web uid=u-1 took=1.5s error="two\nlines" in effect="a, b"` + "\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%q", want, out)
		}
	}
	if strings.Contains(string(out), "nobody") {
		t.Errorf("%q", out)
	}
}

// TestASlowJournalHoldsNobodyUp: what has no room is dropped, counted and told.
func TestASlowJournalHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		hang := make(chan struct{})
		j := newJournal(func(e Entry) error { <-hang; sent = append(sent, e.Message[:min(len(e.Message), 10)]); return nil })
		big := strings.Repeat("x", journalRoom/4)
		for range 10 {
			j.Put(Entry{Message: big})
		}
		if got := j.Dropped(); got != 6 {
			t.Errorf("%d are dropped", got)
		}
		close(hang)
		synctest.Wait()
		j.Put(Entry{Message: "later"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		j.Close(ctx)
		j.Put(Entry{Message: "too late"})
		want := []string{"xxxxxxxxxx", "6 messages", "xxxxxxxxxx", "xxxxxxxxxx", "xxxxxxxxxx", "later"}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Error(diff)
		}
		if got := j.Dropped(); got != 7 {
			t.Errorf("%d are dropped in all", got)
		}
	})
}

func TestAJournalThatIsGone(t *testing.T) {
	j := newJournal(func(Entry) error { return errors.New("nobody there") })
	j.Put(Entry{Message: "a"})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	j.Close(ctx)
	if got := j.Dropped(); got != 1 {
		t.Errorf("%d are dropped", got)
	}
}

func TestJournalsFieldNames(t *testing.T) {
	for key, want := range map[string]string{
		"pod": "POD", "in effect": "IN_EFFECT", "_x": "X", "1a": "A", "message": "FIELD_MESSAGE", "é": "FIELD_", "needs a restart of podd": "NEEDS_A_RESTART_OF_PODD",
	} {
		if got := fieldName(key); got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
}
