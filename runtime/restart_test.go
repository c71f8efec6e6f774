package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
)

// TestAdopt: after a restart of podd output goes on where it was.
func TestAdopt(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(script("i=0; while ! test -e /dev/shm/stop; do echo $((i=i+1)); sleep 0.01; done; echo last"))
	w.eventually("it counts", func() bool { return strings.Contains(w.output(cfg), "3\n") })
	var length int
	w.Restart(func() { length = len(w.output(cfg)) })
	w.eventually("it goes on", func() bool { return len(w.output(cfg)) > length+20 })
	w.stopCounting()
	w.ended(cfg.ID)
	w.expectCount(w.output(cfg))
}

// TestAdoptEnded: what ended meanwhile is observed without waiting.
func TestAdoptEnded(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.start(script("echo here; until test -e /dev/shm/stop; do sleep 0.01; done; exit 7"))
	w.eventually("it runs", func() bool { return strings.Contains(w.output(cfg), "here") })
	pid := w.taskPID(cfg.ID)
	w.Restart(func() {
		w.stopCounting()
		w.eventually("it ends", func() bool { return syscall.Kill(pid, 0) != nil })
	})
	if seen := w.ended(cfg.ID); seen.ExitCode != 7 {
		t.Errorf("exit code %d", seen.ExitCode)
	}
	if out := w.output(cfg); out != "here\n" {
		t.Errorf("its log has %q", out)
	}
	if err := w.Client.Reap(t.Context(), cfg.ID); err != nil {
		t.Fatal(err)
	}
}

// TestAdoptSweeps: FIFOs that nobody needs any more, and leases of what was
// being made, go.
func TestAdoptSweeps(t *testing.T) {
	w := newWorld(t)
	for _, dir := range []string{"io/gone", "exec/exec-gone"} {
		if err := os.MkdirAll(w.Path("run", dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Client.Protect(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Restart(nil)
	if left, _ := filepath.Glob(w.Path("run", "*", "*gone")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestStartCreatedTask: a start that was cut off after the task was made goes
// on from there.
func TestStartCreatedTask(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.config(script("echo started"))
	if err := w.Client.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := runtime.CreateTask(t.Context(), w.Client, cfg); err != nil {
		t.Fatal(err)
	}
	if seen := w.seen(cfg.ID); seen.State != pod.Created {
		t.Fatalf("it is %s", seen.State)
	}
	w.Restart(nil)
	if err := w.Client.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	w.ended(cfg.ID)
	if out := w.output(cfg); out != "started\n" {
		t.Errorf("its log has %q", out)
	}
}

// TestHints: an exit is told, by pod, also after containerd was killed.
func TestHints(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	var mu sync.Mutex
	told := map[types.UID]int{}
	count := func(uid types.UID) int {
		mu.Lock()
		defer mu.Unlock()
		return told[uid]
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- w.Client.Hints(ctx, func(uid types.UID) {
			mu.Lock()
			defer mu.Unlock()
			told[uid]++
		})
	}()
	w.eventually("all pods are told twice at first", func() bool { return count("") == 2 })
	w.run(script("true"))
	w.eventually("its exit is told", func() bool { return count(w.pod.UID) > 0 })

	cfg := w.start(script("until test -e /dev/shm/stop; do sleep 0.01; done"))
	before := count("")
	w.KillContainerd()
	w.eventually("all pods are told again", func() bool { return count("") > before+1 })
	w.eventually("containerd answers again", func() bool { return w.Client.Ready(t.Context()) == nil })
	if seen := w.seen(cfg.ID); seen == nil || seen.State != pod.Running {
		t.Errorf("after containerd's death it is %+v", seen)
	}
	before = count(w.pod.UID) + count("")
	w.stopCounting() // perhaps before the stream stands again: then all pods are told
	w.eventually("its exit is told", func() bool { return count(w.pod.UID)+count("") > before })
	before = count(w.pod.UID)
	w.eventually("exits are told by pod again", func() bool {
		w.run(corev1.Container{Name: "next", Command: []string{"true"}})
		return count(w.pod.UID) > before
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("hints ended with %v", err)
	}
}

// TestPods: every pod is listed once, from what is in containerd alone.
func TestPods(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	w.run(script("true"))
	keys, err := w.Client.Pods(t.Context())
	want := pod.Key{UID: w.pod.UID, Namespace: "default", Name: "web"}
	if err != nil || len(keys) != 1 || keys[0] != want {
		t.Errorf("pods %v, %v", keys, err)
	}
	w.Forget(w.pod.UID)
	if keys, err := w.Client.Pods(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("pods %v, %v", keys, err)
	}
}

// TestVanishedContainerd: calls fail soon, as something that may pass.
func TestVanishedContainerd(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	w.KillContainerd()
	w.eventually("it answers again", func() bool { return w.Client.Ready(t.Context()) == nil })
	if _, err := w.Client.Version(t.Context()); err != nil {
		t.Error(err)
	}
	sandboxes, _ := w.Seen(w.pod.UID)
	if len(sandboxes) != 1 || sandboxes[0].State != pod.Running {
		t.Errorf("seen %+v", sandboxes)
	}
}

// stopCounting tells a script to end, through the pod's /dev/shm.
func (w *world) stopCounting() {
	if err := os.WriteFile(w.Path("run", "pods", string(w.pod.UID), "shm", "stop"), nil, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// expectCount wants every number once, and then the last line.
func (w *world) expectCount(out string) {
	w.t.Helper()
	var want bytes.Buffer
	for i := range strings.Count(out, "\n") - 1 {
		want.WriteString(itoa(i+1) + "\n")
	}
	want.WriteString("last\n")
	if out != want.String() {
		w.t.Errorf("it wrote %q", out)
	}
}

func (w *world) taskPID(id string) int {
	w.t.Helper()
	ctx := w.Client.Context(w.t.Context())
	ctr, err := w.Client.Containerd().LoadContainer(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	task, err := ctr.Task(ctx, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return int(task.Pid())
}
