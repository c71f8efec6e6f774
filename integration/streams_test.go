package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// screen is a podctl on a terminal of its own.
type screen struct {
	n    *node
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// onTerminal runs podctl on a terminal of 100 columns and 30 rows.
func (n *node) onTerminal(args ...string) *screen {
	n.t.Helper()
	cmd := exec.Command(bin(n.t, "podctl"), args...)
	cmd.Env = append(os.Environ(), "PODD_ADDRESS="+n.address())
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 100, Rows: 30})
	if err != nil {
		n.t.Fatal(err)
	}
	s := &screen{n: n, cmd: cmd, tty: tty, done: make(chan struct{})}
	go func() { _, _ = io.Copy(s, tty) }() // ends with the terminal
	go func() {
		_ = cmd.Wait() // its exit code is asked for later
		close(s.done)
	}()
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		tty.Close()
	})
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) typed(text string) {
	s.n.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.n.t.Fatal(err)
	}
}

func (s *screen) shows(text string) {
	s.n.t.Helper()
	s.n.eventually(20*time.Second, "the terminal shows "+text, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.Contains(s.text.String(), text) {
			return fmt.Errorf("it shows %q", s.text.String())
		}
		return nil
	})
}

// ends waits for podctl's end and gives its exit code.
func (s *screen) ends() int {
	s.n.t.Helper()
	select {
	case <-s.done:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		s.n.t.Fatal("podctl does not end")
		return -1
	}
}

func TestExecOnATerminal(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "exec sleep 1000"))
	n.ready("web")
	s := n.onTerminal("exec", "-it", "web", "--", "sh", "-c", "stty size; echo $TERM; exec sh")
	s.shows("30 100")
	s.shows("xterm")
	if err := pty.Setsize(s.tty, &pty.Winsize{Cols: 77, Rows: 22}); err != nil {
		t.Fatal(err)
	}
	s.shows("#")
	n.eventually(10*time.Second, "the size follows", func() error {
		s.typed("stty size\n")
		time.Sleep(100 * time.Millisecond)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.Contains(s.text.String(), "22 77") {
			return fmt.Errorf("%q", s.text.String())
		}
		return nil
	})
	s.typed("sleep 100\n")
	time.Sleep(300 * time.Millisecond) // it has to run before it can be interrupted
	s.typed("\x03")
	s.typed("echo st'ill he're; exit 7\n")
	s.shows("still here")
	if code := s.ends(); code != 7 {
		t.Errorf("exit code %d", code)
	}
}

// TestExecPipes: both streams apart, input to its end, and the exit code.
func TestExecPipes(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "exec sleep 1000"))
	n.ready("web")
	cmd := exec.Command(bin(t, "podctl"), "exec", "-i", "web", "--", "sh", "-c", "wc -c; echo err >&2; exit 3")
	cmd.Env = append(os.Environ(), "PODD_ADDRESS="+n.address())
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 3_000_000))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if out.String() != "3000000\n" || !strings.HasPrefix(errs.String(), "err\n") || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("%q %q %v", out.String(), errs.String(), err)
	}
	out2 := n.podctl("exec", "web", "--", "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' y")
	if len(out2) != 5_000_000 {
		t.Errorf("%d bytes", len(out2))
	}
}

func TestAttachOnATerminal(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(strings.Replace(shell("shell", "read line; echo got $line; stty size; exit 5", "restartPolicy: Never"),
		"image:", "stdin: true\n    tty: true\n    image:", 1))
	n.ready("shell")
	s := n.onTerminal("attach", "-it", "shell")
	s.shows("If you don't see a command prompt, try pressing enter.")
	s.typed("hello\r")
	s.shows("got hello")
	s.shows("30 100")
	if code := s.ends(); code != 5 {
		t.Errorf("exit code %d", code)
	}
	n.phase("shell", "Failed")
	n.logs("got hello", "shell")
}

// TestAttachSeesAndLeaves: two are attached; one goes, and the container runs
// on.
func TestAttachSeesAndLeaves(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("ticks", "while :; do echo tick; sleep 0.2; done"))
	n.ready("ticks")
	one, two := n.onTerminal("attach", "ticks"), n.onTerminal("attach", "ticks")
	one.shows("tick")
	two.shows("tick")
	one.typed("\x03") // the terminal is not in raw mode: this is a signal
	if code := one.ends(); code == 0 {
		t.Error("an interrupted attach ends with 0")
	}
	two.mu.Lock()
	two.text.Reset()
	two.mu.Unlock()
	two.shows("tick")
	if restarts := n.get("ticks", ".status.containerStatuses[0].restartCount"); restarts != "0" {
		t.Errorf("%s restarts", restarts)
	}
}

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+) -> `)

func TestPortForward(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	// A server that answers when it has read to the
	// end, and a named port that nobody listens on.
	n.apply(strings.Replace(shell("web", "exec nc -ll -p 8080 -e wc -c"),
		"image:", "ports: [{name: none, containerPort: 9}]\n    image:", 1))
	n.ready("web")
	cmd := exec.Command(bin(t, "podctl"), "port-forward", "pod/web", ":8080", ":none")
	cmd.Env = append(os.Environ(), "PODD_ADDRESS="+n.address())
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ports [][]string
	n.eventually(10*time.Second, "it listens", func() error {
		ports = forwarding.FindAllStringSubmatch(out.String(), -1)
		if len(ports) != 2 {
			return fmt.Errorf("%q", out.String())
		}
		return nil
	})
	for range 3 {
		n.eventually(10*time.Second, "the server answers", func() error { // one connection at a time is nc's
			if got, err := halfClose(ports[0][1], strings.Repeat("x", 100_000)); strings.TrimSpace(got) != "100000" {
				return fmt.Errorf("%q, %w; podctl says %q", got, err, out.String())
			}
			return nil
		})
	}
	if got, _ := halfClose(ports[1][1], "x"); got != "" {
		t.Errorf("nobody answers %q", got)
	}
	n.eventually(10*time.Second, "it tells that nobody listens", func() error {
		if text := out.String(); !strings.Contains(text, "an error occurred forwarding") || !strings.Contains(text, "nothing listens on port 9") {
			return fmt.Errorf("%q", text)
		}
		return nil
	})
	n.podctl("delete", "pod", "web")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Signal(syscall.SIGINT)
		t.Error("it goes on without the pod")
	}
	if text := out.String(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(text, "lost connection to pod") {
		t.Errorf("exit code %d, %q", cmd.ProcessState.ExitCode(), text)
	}
}

func halfClose(address, text string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	got, err := io.ReadAll(conn)
	return string(got), err
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestCopy: in and out, files and directories, into a container without tar.
func TestCopy(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "rm /bin/tar; mkdir -p /data/sub /empty; echo one >/data/one; echo two >/data/sub/two; ln -s /etc/passwd /data/link; echo ready; exec sleep 1000"))
	n.ready("web")
	n.logs("ready", "web")
	local := func(parts ...string) string { return n.path(append([]string{"copies"}, parts...)...) }
	if err := os.MkdirAll(local("up", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a": "A", "deep/b": strings.Repeat("B", 1_000_000)} {
		if err := os.WriteFile(local("up", name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ from, to, check, want string }{
		{local("up", "a"), "web:/empty", "cat /empty/a", "A"},
		{local("up", "a"), "default/web:/empty/renamed", "cat /empty/renamed", "A"},
		{local("up"), "web:/empty", "wc -c </empty/up/deep/b", "1000000\n"},
		{local("up"), "web:/fresh", "wc -c </fresh/deep/b", "1000000\n"},
	} {
		n.podctl("cp", c.from, c.to)
		if got := n.podctl("exec", "web", "--", "sh", "-c", c.check); got != c.want {
			t.Errorf("%s to %s: %q", c.from, c.to, got)
		}
	}
	n.podctl("cp", "web:/data/one", local("one"))
	n.podctl("cp", "web:/data/one", local())
	out := n.podctl("cp", "web:/data", local("down"))
	for name, want := range map[string]string{"one": "one\n", "down/one": "one\n", "down/sub/two": "two\n"} {
		if got, err := os.ReadFile(local(name)); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Lstat(local("down", "link")); err == nil || !strings.Contains(out, "skipping symlink") {
		t.Errorf("the link was copied; %q", out)
	}
	for _, c := range [][]string{
		{"cp", "web:/nosuch", local("x")}, {"cp", local("nosuch"), "web:/x"}, {"cp", local("one"), "web:/no/such/dir"},
		{"cp", local("one"), "nobody:/x"}, {"cp", "web:/data/one", "web:/x"}, {"cp", local("one"), local("two")},
	} {
		if out, err := n.try(c...); err == nil {
			t.Errorf("%v: %s", c, out)
		}
	}
	if left, err := filepath.Glob(local("x*")); len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestLogsFollowAcrossRestarts, of the container and of podd.
func TestLogsFollowAcrossRestarts(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); sleep 0.3; done; exit 1"))
	n.ready("web")
	cmd := exec.Command(bin(t, "podctl"), "logs", "-f", "web")
	cmd.Env = append(os.Environ(), "PODD_ADDRESS="+n.address())
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.eventually(30*time.Second, "the second instance's lines come", func() error {
		if !strings.HasPrefix(out.String(), "0\n1\n2\n0\n1\n2\n") {
			return fmt.Errorf("%q", out.String())
		}
		return nil
	})
	n.podctl("delete", "pod", "web")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %q", err, out.String())
	}
}
