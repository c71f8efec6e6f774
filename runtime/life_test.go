package runtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// TestLife follows one container; everything is done twice.
func TestLife(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctx := t.Context()
	cfg := w.config(script("trap 'echo bye; exit 3' TERM; echo hello; echo oops >&2; while :; do sleep 0.05; done"))
	twice := func(what string, do func() error) {
		t.Helper()
		for range 2 {
			if err := do(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	before := time.Now().Add(-20 * time.Millisecond)
	twice("create", func() error { return w.Client.Create(ctx, cfg) })
	want := pod.Container{
		ID: cfg.ID, Name: "app", State: pod.Created, SandboxID: w.sandboxID(), Image: busybox,
		User: &corev1.LinuxContainerUser{SupplementalGroups: []int64{0}},
	}
	ignore := cmpopts.IgnoreFields(pod.Container{}, "CreatedAt", "StartedAt", "FinishedAt")
	if diff := cmp.Diff(&want, w.seen(cfg.ID), ignore); diff != "" {
		t.Error(diff)
	}

	twice("start", func() error { return w.Client.Start(ctx, cfg) })
	want.State = pod.Running
	seen := w.seen(cfg.ID)
	if diff := cmp.Diff(&want, seen, ignore); diff != "" {
		t.Error(diff)
	}
	if seen.StartedAt.Before(before) || seen.StartedAt.After(time.Now()) {
		t.Errorf("started at %s, it was made at %s", seen.StartedAt, before)
	}
	w.eventually("it says hello", func() bool { return strings.Contains(w.output(cfg), "hello\n") })
	if shims := w.Shims(1); len(shims) != 1 {
		t.Errorf("the pod has %d shims", len(shims))
	}

	signal := pod.SignalConfig{ID: cfg.ID, Signal: syscall.SIGTERM}
	if err := w.Client.Signal(ctx, signal); err != nil {
		t.Fatal(err)
	}
	w.ended(cfg.ID)
	twice("signal what has ended", func() error { return w.Client.Signal(ctx, signal) })
	want.State, want.ExitCode = pod.Exited, 3
	seen = w.seen(cfg.ID)
	if diff := cmp.Diff(&want, seen, ignore); diff != "" {
		t.Error(diff)
	}
	if seen.FinishedAt.Before(before) || seen.FinishedAt.After(time.Now()) {
		t.Errorf("finished at %s", seen.FinishedAt)
	}

	twice("reap", func() error { return w.Client.Reap(ctx, cfg.ID) })
	want.State, want.ExitCode = pod.Created, 0
	if diff := cmp.Diff(&want, w.seen(cfg.ID), ignore); diff != "" {
		t.Error(diff)
	}
	twice("remove", func() error { return w.Client.Remove(ctx, cfg.ID) })
	if seen := w.seen(cfg.ID); seen != nil {
		t.Errorf("it is still there: %+v", seen)
	}
	twice("signal what is not there", func() error { return w.Client.Signal(ctx, signal) })
	out := w.output(cfg)
	if strings.ReplaceAll(out, "oops\n", "") != "hello\nbye\n" || !strings.Contains(out, "oops\n") {
		t.Errorf("its log has %q", out)
	}
}

// TestOutputIsWhole: all of it is in the log when the exit is reaped.
func TestOutputIsWhole(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	_, out := w.run(script("seq 1 100000; printf end"))
	if n := strings.Count(out, "\n"); n != 100001 || !strings.HasSuffix(out, "\nend\n") {
		t.Errorf("%d lines, the last %q", n, out[max(0, len(out)-20):])
	}
}

// TestRemoveRunning: what runs is killed, and its last words are kept.
func TestRemoveRunning(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(script("echo here; exec sleep 1000"))
	w.eventually("it runs", func() bool { return strings.Contains(w.output(cfg), "here") })
	if err := w.Client.Remove(t.Context(), cfg.ID); err != nil {
		t.Fatal(err)
	}
	if seen := w.seen(cfg.ID); seen != nil {
		t.Errorf("it is still there: %+v", seen)
	}
}

// TestLeftOverProcess: a process that outlives the container's first one, in a
// pod whose processes share a namespace, holds neither its exit nor its end up.
func TestLeftOverProcess(t *testing.T) {
	w := newWorld(t)
	w.pod.Spec.ShareProcessNamespace = ptr(true)
	w.sandbox()
	seen, out := w.run(script("sleep 1000 & echo $(($$ > 1)); ps | grep -c pause"))
	if seen.ExitCode != 0 || !strings.HasPrefix(out, "1\n") {
		t.Errorf("exit code %d, output %q", seen.ExitCode, out)
	}
}

func TestStartFails(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.config(corev1.Container{Command: []string{"nosuch"}})
	if err := w.Client.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var failure *pod.Failure
		err := w.Client.Start(t.Context(), cfg)
		want := `failed to create containerd task: exec: "nosuch": executable file not found in $PATH`
		if !errors.As(err, &failure) || failure.Reason != "RunContainerError" || failure.Message != want {
			t.Errorf("start: %v", err)
		}
		if seen := w.seen(cfg.ID); seen.State != pod.Created {
			t.Errorf("it is %s", seen.State)
		}
		if left, _ := filepath.Glob(w.Path("run", "io", "*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

func TestCreateFails(t *testing.T) {
	w := newWorld(t)
	noSandbox := w.config(corev1.Container{})
	expect := func(cfg pod.ContainerConfig, kind pod.FailureKind, reason, message string) {
		t.Helper()
		var failure *pod.Failure
		err := w.Client.Create(t.Context(), cfg)
		if !errors.As(err, &failure) || failure.Kind != kind || failure.Reason != reason || !strings.Contains(err.Error(), message) {
			t.Errorf("create: %v (%+v), want %s %s %q", err, failure, kind, reason, message)
		}
		if seen := w.seen(cfg.ID); seen != nil {
			t.Errorf("it is there: %+v", seen)
		}
	}
	expect(noSandbox, pod.NotFound, "CreateContainerError", "sandbox does not run")
	w.sandbox()
	expect(w.config(corev1.Container{Image: "nosuch"}), pod.NotFound, "CreateContainerError", "not here")
	other := w.config(corev1.Container{})
	other.ImageID = "sha256:0"
	expect(other, pod.Transient, "CreateContainerError", "was sha256:0")
	expect(w.config(corev1.Container{VolumeMounts: []corev1.VolumeMount{{Name: "nosuch", MountPath: "/x"}}}),
		pod.Permanent, "CreateContainerConfigError", "no volume")
	expect(w.config(corev1.Container{SecurityContext: &corev1.SecurityContext{
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr("nosuch.json")},
	}}), pod.Permanent, "CreateContainerConfigError", "nosuch.json")
	expect(w.config(corev1.Container{SecurityContext: &corev1.SecurityContext{
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault},
	}}), pod.Permanent, "CreateContainerConfigError", "AppArmor is not enabled")
}

// TestTerminationMessage: the end of the file, else the end of a failed one's
// log if it is asked for.
func TestTerminationMessage(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	logs := corev1.TerminationMessageFallbackToLogsOnError
	for name, c := range map[string]struct {
		script string
		policy corev1.TerminationMessagePolicy
		want   string
	}{
		"file":       {"printf done > /dev/termination-log", corev1.TerminationMessageReadFile, "done"},
		"long file":  {"seq 1 2000 > /dev/termination-log", corev1.TerminationMessageReadFile, lines(1, 2000, 4096)},
		"no logs":    {"echo bad; exit 1", corev1.TerminationMessageReadFile, ""},
		"logs":       {"echo bad; exit 1", logs, "bad\n"},
		"many lines": {"seq 1 200; exit 1", logs, lines(121, 200, 2048)},
		"much":       {"seq 10000000000000000000000000000000000000000 99 >&2; for i in $(seq 1 90); do echo $i aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done | tail -n 3; exit 1", logs, "88 " + strings.Repeat("a", 42) + "\n89 " + strings.Repeat("a", 42) + "\n90 " + strings.Repeat("a", 42) + "\n"},
		"success":    {"echo good", logs, ""},
		"file first": {"printf file > /dev/termination-log; echo log; exit 1", logs, "file"},
	} {
		ctr := script(c.script)
		ctr.TerminationMessagePolicy = c.policy
		if seen, _ := w.run(ctr); seen.Message != c.want {
			t.Errorf("%s: %q, want %q", name, seen.Message, c.want)
		}
		w.removeMessage()
	}
}

// removeMessage lets the next attempt 0 begin with an empty one.
func (w *world) removeMessage() {
	if err := os.RemoveAll(w.Path("lib", "pods", string(w.pod.UID), "containers")); err != nil {
		w.t.Fatal(err)
	}
}

// lines is the end of "seq from to", of a length.
func lines(from, to, length int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		b.WriteString(itoa(i) + "\n")
	}
	return b.String()[max(0, b.Len()-length):]
}

func TestOOMKilled(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("tail /dev/zero")
	ctr.Resources.Limits = memory("16Mi")
	if seen, _ := w.run(ctr); !seen.OOMKilled || seen.ExitCode != 137 {
		t.Errorf("OOMKilled %t, exit code %d", seen.OOMKilled, seen.ExitCode)
	}
}
