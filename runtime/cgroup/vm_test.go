//go:build vm

package cgroup_test

import (
	"errors"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/cgroup"
)

// run runs a command that has to succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// onSystemd runs a test with systemd's driver, and looks for units that are
// left.
func onSystemd(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	if !cgroup.WithSystemd() {
		t.Fatal("systemd is not PID 1 here, or the host not on cgroup v2")
	}
	onEach(t, func(t *testing.T, w world) {
		if !w.root.Systemd() {
			return
		}
		t.Cleanup(func() {
			if left := run(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", "poddtest*", "podd-scope*"); left != "" {
				t.Errorf("units are left:\n%s", left)
			}
		})
		test(t, w)
	})
}

// TestSystemdKeepsTheLimits when it is reloaded, as by every installation of a
// package: it sets again what it knows.
func TestSystemdKeepsTheLimits(t *testing.T) {
	onSystemd(t, func(t *testing.T, w world) {
		create(t, w, pod.PodResources{MilliCPURequest: 250, MilliCPULimit: 501, MemoryLimit: 32 << 20})
		for _, reload := range []string{"daemon-reload", "daemon-reexec"} {
			run(t, "systemctl", reload)
			for file, want := range map[string]string{"memory.max": "33554432", "cpu.max": "51000 100000", "cpu.weight": "35"} {
				if got := setting(t, w, file); got != want {
					t.Errorf("after %s %s is %q, want %q", reload, file, got, want)
				}
			}
		}
		remove(t, w)
	})
}

// TestAContainersGroupOutlivesItsScope: the scope goes with its last process,
// what was counted stays until the group is removed.
func TestAContainersGroupOutlivesItsScope(t *testing.T) {
	onSystemd(t, func(t *testing.T, w world) {
		create(t, w, pod.PodResources{})
		group := w.root.Container(uid, "id")
		for range 2 {
			if err := w.MakeGroup(t.Context(), group); err != nil {
				t.Fatal(err)
			}
		}
		scope := exec.Command("systemd-run", "--scope", "--unit", "podd-scope", "--slice", path.Base(group), "--property", "MemoryMax=16M",
			"--property", "CollectMode=inactive-or-failed", "/bin/busybox", "tail", "/dev/zero")
		out, err := scope.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("it was not killed: %v\n%s", err, out)
		}
		if !cgroup.OOMKilled(group) {
			t.Errorf("not OOMKilled: %v\n%s", err, out)
		}
		if scopes, _ := filepath.Glob("/sys/fs/cgroup" + group + "/*.scope"); len(scopes) > 0 {
			t.Logf("systemd is slow to remove %q", scopes)
		}
		for range 2 {
			if err := w.RemoveGroup(t.Context(), group); err != nil {
				t.Fatal(err)
			}
		}
		if left := everywhere(t, group); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		remove(t, w)
	})
}

// TestWhatRunsInAGroupIsNotKilled by its removal.
func TestWhatRunsInAGroupIsNotKilled(t *testing.T) {
	onSystemd(t, func(t *testing.T, w world) {
		create(t, w, pod.PodResources{})
		group := w.root.Container(uid, "id")
		if err := w.MakeGroup(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		run(t, "systemd-run", "--unit", "podd-scope", "--slice", path.Base(group), "/bin/busybox", "sleep", "1000")
		err := w.RemoveGroup(t.Context(), group)
		var failure *pod.Failure
		if !errors.As(err, &failure) || failure.Kind != pod.Transient || !strings.Contains(failure.Message, "processes remain") {
			t.Errorf("RemoveGroup = %v", err)
		}
		if state := run(t, "systemctl", "is-active", "podd-scope"); state != "active" {
			t.Errorf("its processes are %s", state)
		}
		run(t, "systemctl", "stop", "podd-scope")
		// A pod's removal takes its containers' groups along.
		remove(t, w)
	})
}
