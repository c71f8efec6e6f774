package runtime_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// attached is one caller of Attach.
type attached struct {
	in     *io.PipeWriter
	sizes  chan pod.TerminalSize
	cancel func()
	done   chan error

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (a *attached) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.Write(p)
}

func (a *attached) has(text string) func() bool {
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return strings.Contains(a.text.String(), text)
	}
}

func (w *world) attach(id string, once bool) *attached {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	r, in := io.Pipe()
	a := &attached{in: in, sizes: make(chan pod.TerminalSize), cancel: cancel, done: make(chan error, 1)}
	w.t.Cleanup(func() { cancel(); in.Close() })
	opts := pod.AttachOptions{StdinOnce: once, Stdio: pod.Stdio{Stdin: r, Stdout: a, Stderr: a, Resize: a.sizes}}
	go func() { a.done <- w.Client.Attach(ctx, id, opts) }()
	return a
}

func (a *attached) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(a.in, text); err != nil {
		t.Fatal(err)
	}
}

// end waits for Attach's return.
func (a *attached) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-a.done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("attach does not end")
		return nil
	}
}

// TestAttach: two callers hear the same, both are heard; that one goes changes
// nothing, and the container's end ends it.
func TestAttach(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("while read line; do echo out $line; echo err $line >&2; done; echo eof")
	ctr.Stdin = true
	cfg := w.start(ctr)
	one, two := w.attach(cfg.ID, false), w.attach(cfg.ID, false)
	w.eventually("both hear a", func() bool { // neither hears what was said before it came
		one.say(t, "a\n")
		return one.has("out a\n")() && two.has("err a\n")()
	})
	one.in.Close() // without stdinOnce the container's input goes on
	one.cancel()
	if err := one.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	two.say(t, "b\n")
	w.eventually("two hears b", two.has("out b\n"))
	if one.has("b")() {
		t.Error("one hears on")
	}
	if err := w.Client.Signal(t.Context(), pod.SignalConfig{ID: cfg.ID, Signal: syscall.SIGKILL}); err != nil {
		t.Fatal(err)
	}
	w.ended(cfg.ID)
	if err := w.Client.Reap(t.Context(), cfg.ID); err != nil {
		t.Fatal(err)
	}
	if err := two.end(t); err != nil {
		t.Errorf("%v", err)
	}
	if got := w.output(cfg); !strings.Contains(got, "out a\n") || strings.Contains(got, "eof") {
		t.Errorf("the log: %q", got)
	}
}

// TestAttachOnce: with stdinOnce the first caller's end ends the input, and
// nobody can open it again.
func TestAttachOnce(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("cat; echo eof; exec sleep 1000")
	ctr.Stdin, ctr.StdinOnce = true, true
	cfg := w.start(ctr)
	a := w.attach(cfg.ID, true)
	a.say(t, "hello ")
	a.in.Close()
	w.eventually("it is at its end", a.has("hello eof\n"))
	a.cancel()
	late := w.attach(cfg.ID, true)
	var f *pod.Failure
	if err := late.end(t); !errors.As(err, &f) || !strings.Contains(f.Message, "input was closed") {
		t.Errorf("%v", err)
	}
}

// TestAttachAfterARestart: one can attach to a container that an earlier podd
// started.
func TestAttachAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("while read line; do echo out $line; done")
	ctr.Stdin = true
	fresh := w.start(ctr)
	w.Restart(func() {})
	a := w.attach(fresh.ID, false)
	a.say(t, "a\n")
	w.eventually("it is heard", a.has("out a\n"))
}

// TestAttachTerminal: its size follows the caller's.
func TestAttachTerminal(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("while read line; do stty size; done")
	ctr.Stdin, ctr.TTY = true, true
	cfg := w.start(ctr)
	a := w.attach(cfg.ID, false)
	a.sizes <- pod.TerminalSize{Width: 123, Height: 45}
	w.eventually("it has the size", func() bool {
		_, _ = io.WriteString(a.in, "\n")
		return a.has("45 123\r\n")()
	})
}

// TestASlowListener is sent away; neither the container nor its log waits.
func TestASlowListener(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("read x; seq 1 2000000; echo all; exec sleep 1000")
	ctr.Stdin = true
	cfg := w.start(ctr)
	stuck, release := make(chan error, 1), make(chan struct{})
	r, in := io.Pipe()
	go func() {
		stuck <- w.Client.Attach(t.Context(), cfg.ID, pod.AttachOptions{Stdio: pod.Stdio{Stdin: r, Stdout: &slowWriter{after: release}}})
	}()
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	w.eventually("everything is in the log", func() bool { return strings.HasSuffix(w.output(cfg), "2000000\nall\n") })
	close(release)
	var f *pod.Failure
	if err := <-stuck; !errors.As(err, &f) || f.Kind != pod.Conflict {
		t.Errorf("%v", err)
	}
}

func TestAttachFails(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(sleeper())
	var f *pod.Failure
	if err := w.attach(cfg.ID, false).end(t); !errors.As(err, &f) || !strings.Contains(f.Message, "no input") {
		t.Errorf("%v", err)
	}
	if err := w.attach("nosuch", false).end(t); !errors.As(err, &f) || f.Kind != pod.NotFound {
		t.Errorf("%v", err)
	}
}

// TestCopy: volumes are there, a read-only mount is refused, and no program of
// the container is needed.
func TestCopy(t *testing.T) {
	w := newWorld(t)
	w.pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	w.sandbox()
	ctr := script("mkdir /data; echo one >/data/one; echo two >/v/two; rm /bin/tar; exec sleep 1000")
	ctr.WorkingDir = "/tmp"
	ctr.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}, {Name: "v", MountPath: "/ro", ReadOnly: true}}
	cfg := w.start(ctr)
	copied := func(path string) func() bool {
		return func() bool {
			var out bytes.Buffer
			return w.Client.CopyOut(t.Context(), cfg.ID, path, &out) == nil && strings.Contains(out.String(), path[len(path)-3:])
		}
	}
	w.eventually("files are there", func() bool { return copied("/data/one")() && copied("/v/two")() })
	var in bytes.Buffer
	tw := tar.NewWriter(&in)
	if err := errors.Join(tw.WriteHeader(&tar.Header{Name: "new", Typeflag: tar.TypeReg, Size: 3, Mode: 0o644}), second(tw.Write([]byte("abc"))), tw.Close()); err != nil {
		t.Fatal(err)
	}
	var f *pod.Failure
	if err := w.Client.CopyIn(t.Context(), cfg.ID, "/ro", bytes.NewReader(in.Bytes()), true); !errors.As(err, &f) || f.Kind != pod.Permanent {
		t.Errorf("into a read-only mount: %v", err)
	}
	if err := w.Client.CopyIn(t.Context(), cfg.ID, ".", &in, true); err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	cmd := shell("cat /tmp/new")
	cmd.Stdout = &out
	if _, err := w.Client.Exec(t.Context(), cfg.ID, cmd); err != nil || out.String() != "abc" {
		t.Errorf("%q %v", out.String(), err)
	}
	if err := w.Client.CopyOut(t.Context(), cfg.ID, "/nosuch", io.Discard); !errors.As(err, &f) || f.Kind != pod.NotFound {
		t.Errorf("%v", err)
	}
}

func second(_ int, err error) error { return err }
