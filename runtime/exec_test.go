package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

func sleeper() corev1.Container { return script("trap exit TERM; while :; do sleep 0.1; done") }

func TestExec(t *testing.T) {
	w := newWorld(t)
	w.env = []string{"GREETING=hello"}
	w.sandbox()
	ctr := sleeper()
	ctr.WorkingDir = "/tmp"
	cfg := w.start(ctr)
	long := strings.Repeat("0123456789\n", 30000)
	for name, c := range map[string]struct {
		cmd            pod.ExecCommand
		code           int
		stdout, stderr string
	}{
		"output":       {cmd: shell("echo $GREETING; pwd; echo bad >&2"), stdout: "hello\n/tmp\n", stderr: "bad\n"},
		"exit code":    {cmd: shell("exit 42"), code: 42},
		"signal":       {cmd: shell("kill -9 $$"), code: 137},
		"no input":     {cmd: shell("cat"), stdout: ""},
		"input":        {cmd: input("wc -c", "12345"), stdout: "5\n"},
		"much input":   {cmd: input("cat", long), stdout: long},
		"unread input": {cmd: input("true", long)},
		"terminal":     {cmd: pod.ExecCommand{Args: []string{"sh", "-c", "tty; echo x >&2"}, TTY: true}, stdout: "/dev/pts/0\r\nx\r\n"},
	} {
		var stdout, stderr bytes.Buffer
		c.cmd.Stdout, c.cmd.Stderr = &stdout, &stderr
		code, err := w.Client.Exec(t.Context(), cfg.ID, c.cmd)
		if err != nil || code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%s: exit code %d, error %v, stdout %.100q, stderr %.100q", name, code, err, stdout.String(), stderr.String())
		}
	}
	if left, err := os.ReadDir(w.Path("run", "exec")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func shell(text string) pod.ExecCommand { return pod.ExecCommand{Args: []string{"sh", "-c", text}} }

func input(text, in string) pod.ExecCommand {
	cmd := shell(text)
	cmd.Stdin = strings.NewReader(in)
	return cmd
}

// TestExecResize: the terminal has the size it is given.
func TestExecResize(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(sleeper())
	sizes := make(chan pod.TerminalSize, 1)
	sizes <- pod.TerminalSize{Width: 123, Height: 45}
	var out bytes.Buffer
	cmd := pod.ExecCommand{
		Args: []string{"sh", "-c", "until stty size 2>/dev/null | grep 45; do sleep 0.01; done"}, TTY: true,
		Stdio: pod.Stdio{Stdout: &out, Resize: sizes},
	}
	if code, err := w.Client.Exec(t.Context(), cfg.ID, cmd); code != 0 || err != nil || out.String() != "45 123\r\n" {
		t.Errorf("exit code %d, error %v, output %q", code, err, out.String())
	}
}

// TestExecLeftOver: a process that the command leaves behind holds it up only
// shortly, and what the command itself wrote arrives however slowly it is taken.
func TestExecLeftOver(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(sleeper())
	slow := &slowWriter{after: make(chan struct{})}
	cmd := shell("sleep 1000 & seq 1 30000") // more than a pipe holds
	cmd.Stdout = slow
	go func() {
		time.Sleep(3 * time.Second) // longer than what is left behind is waited for
		close(slow.after)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code, err := w.Client.Exec(ctx, cfg.ID, cmd)
	if err != nil || code != 0 || !strings.HasSuffix(slow.taken.String(), "\n30000\n") {
		t.Errorf("exit code %d, error %v, %d bytes", code, err, slow.taken.Len())
	}
}

// slowWriter takes nothing before after is closed.
type slowWriter struct {
	taken bytes.Buffer
	after chan struct{}
}

func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.after
	return w.taken.Write(p)
}

// TestExecEnds: with its context, however it got there.
func TestExecEnds(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(sleeper())
	reader, writer := io.Pipe()
	defer writer.Close()
	for name, cmd := range map[string]pod.ExecCommand{
		"runs":           shell("exec sleep 1000"),
		"waits for more": {Args: []string{"cat"}, Stdio: pod.Stdio{Stdin: reader}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := w.Client.Exec(ctx, cfg.ID, cmd)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var out bytes.Buffer
	cmd := shell("pgrep -fl '[s]leep 1000'; pgrep -l -x cat")
	cmd.Stdout = &out
	if _, err := w.Client.Exec(t.Context(), cfg.ID, cmd); err != nil || out.String() != "" {
		t.Errorf("%v: what was exec'd still runs: %s", err, out.String())
	}
}

func TestExecFails(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(sleeper())
	var failure *pod.Failure
	_, err := w.Client.Exec(t.Context(), cfg.ID, pod.ExecCommand{Args: []string{"nosuch"}})
	want := `failed to exec in container: exec: "nosuch": executable file not found in $PATH`
	if !errors.As(err, &failure) || failure.Message != want {
		t.Errorf("exec of what is not there: %v", err)
	}
	_, err = w.Client.Exec(t.Context(), "nosuch", shell("true"))
	if !errors.As(err, &failure) || failure.Kind != pod.NotFound {
		t.Errorf("exec where there is no container: %v", err)
	}
}
