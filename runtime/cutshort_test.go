package runtime_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/cgroup"
)

// TestADeletionThatWasCutShort: podd died when a shim had let go of its task and
// containerd not yet of the shim. Nobody finds the task any more; the shim goes
// all the same.
func TestADeletionThatWasCutShort(t *testing.T) {
	for _, what := range []string{"sandbox", "container"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.sandbox()
			id := w.sandboxID()
			if what == "container" {
				id = w.start(corev1.Container{Command: []string{"sleep", "1000"}}).ID
			}
			if err := w.Client.Signal(t.Context(), pod.SignalConfig{ID: id, Signal: syscall.SIGKILL}); err != nil {
				t.Fatal(err)
			}
			w.eventually("the shim lets go of its task", func() bool { return w.deleteInShim(id) == nil })
			remove := func() error { return w.Client.Remove(t.Context(), id) }
			if what == "sandbox" {
				remove = func() error { return w.Sandboxes.Remove(t.Context(), w.pod.UID, id) }
			}
			if err := remove(); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(w.Path("*", "containerd", "*", "io.containerd.runtime.v2.task", "*", id)); len(left) > 0 {
				t.Errorf("left: %s", left)
			}
			if what == "sandbox" {
				if shims := w.Shims(0); len(shims) > 0 {
					t.Errorf("left: %s", shims)
				}
			}
		})
	}
}

// deleteInShim is the first half of a deletion.
func (w *world) deleteInShim(id string) error {
	w.t.Helper()
	path := w.Path("run", "containerd", "state", "io.containerd.runtime.v2.task", w.Config.Namespace, id, "bootstrap.json")
	text, err := os.ReadFile(path)
	w.Check(err)
	var shim struct{ Address string }
	w.Check(json.Unmarshal(text, &shim))
	conn, err := net.Dial("unix", strings.TrimPrefix(shim.Address, "unix://"))
	if err != nil {
		w.t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	_, err = task.NewTTRPCTaskClient(client).Delete(w.t.Context(), &task.DeleteRequest{ID: id})
	return err
}

// TestACreationThatWasCutShort: podd died when the OCI runtime had put a first
// process into the container's cgroup.
func TestACreationThatWasCutShort(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	cfg := w.config(corev1.Container{Command: []string{"sleep", "1000"}})
	if err := w.Client.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	left := exec.Command("sleep", "1000")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	w.occupy(cfg, left.Process.Pid)
	if err := w.Client.Start(t.Context(), cfg); err != nil {
		_ = left.Process.Kill()
		t.Error(err)
	}
	<-ended
	if seen := w.seen(cfg.ID); seen.State != pod.Running {
		t.Errorf("it is %v", seen.State)
	}
}

// occupy puts a process into a container's cgroup, where the OCI runtime looks:
// that of devices, or of v2.
func (w *world) occupy(cfg pod.ContainerConfig, pid int) {
	w.t.Helper()
	mount := "/sys/fs/cgroup"
	if cgroup.Version() == "v1" {
		mount += "/devices"
	}
	dir := filepath.Join(mount, w.Config.CgroupRoot.Container(cfg.Pod.UID, cfg.ID))
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}
