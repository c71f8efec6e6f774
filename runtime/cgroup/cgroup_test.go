package cgroup_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/cgroups"
	"go.uber.org/zap/zaptest"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/cgroup"
	"github.com/podd-io/podd/systemd"
)

const uid = types.UID("11111111-2222-3333-4444-555555555555")

// world is what a test works with.
type world struct {
	*cgroup.Cgroups
	root runtime.CgroupRoot
}

// onEach runs a test with each driver that this host has: in the virtual
// machine, systemd's too. Each has a root of its own, of which nothing may be
// left in the end.
func onEach(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	roots := map[string]runtime.CgroupRoot{"cgroupfs": runtime.CgroupRoot(fmt.Sprintf("/podd-test-%d", os.Getpid()))}
	if cgroup.WithSystemd() {
		roots["systemd"] = runtime.CgroupRoot(fmt.Sprintf("poddtest%d.slice", os.Getpid()))
	}
	for driver, root := range roots {
		t.Run(driver, func(t *testing.T) {
			t.Cleanup(func() {
				if left := everywhere(t, root.Path()); len(left) > 0 {
					t.Errorf("the root is left: %q", left)
				}
			})
			test(t, world{cgroup.New(root, systemd.Slices{}, zaptest.NewLogger(t)), root})
		})
	}
}

// everywhere is where, of all hierarchies, a cgroup exists.
func everywhere(t *testing.T, group string) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range mounts {
		dir := filepath.Join(m.Mountpoint, group)
		if _, err := os.Stat(dir); err == nil {
			found = append(found, dir)
		}
	}
	return found
}

func create(t *testing.T, w world, r pod.PodResources) {
	t.Helper()
	for range 2 { // twice is the same as once
		if err := w.Create(t.Context(), pod.CgroupConfig{UID: uid, Resources: r}); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, w world) {
	t.Helper()
	for range 2 { // none is success
		if err := w.Remove(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
	}
}

func setting(t *testing.T, w world, file string) string {
	t.Helper()
	for _, dir := range everywhere(t, w.root.Pod(uid)) {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	t.Fatalf("no hierarchy has %s", file)
	return ""
}

// noLimit is memory.limit_in_bytes' greatest value.
var noLimit = strconv.Itoa(math.MaxInt64 - os.Getpagesize() + 1)

func TestLimits(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		type values struct{ weight, quota, memory string }
		for name, test := range map[string]struct {
			in     pod.PodResources
			v1, v2 values
		}{
			"none": {pod.PodResources{},
				values{"2", "-1", noLimit}, values{"1", "max 100000", "max"}},
			"requests": {pod.PodResources{MilliCPURequest: 500},
				values{"512", "-1", noLimit}, values{"59", "max 100000", "max"}},
			"limits": {pod.PodResources{MilliCPURequest: 1000, MilliCPULimit: 1500, MemoryLimit: 64 << 20},
				values{"1024", "150000", "67108864"}, values{"100", "150000 100000", "67108864"}},
			"the least": {pod.PodResources{MilliCPURequest: 1, MilliCPULimit: 1},
				values{"2", "1000", noLimit}, values{"1", "1000 100000", "max"}},
		} {
			t.Run(name, func(t *testing.T) {
				create(t, w, test.in)
				files, want := values{"cpu.shares", "cpu.cfs_quota_us", "memory.limit_in_bytes"}, test.v1
				if cgroups.IsCgroup2UnifiedMode() {
					files, want = values{"cpu.weight", "cpu.max", "memory.max"}, test.v2
				}
				got := values{setting(t, w, files.weight), setting(t, w, files.quota), setting(t, w, files.memory)}
				if got != want {
					t.Errorf("set %v, want %v", got, want)
				}
				create(t, w, pod.PodResources{}) // limits can be lifted
				remove(t, w)
			})
		}
	})
}

func TestEverythingGoes(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		create(t, w, pod.PodResources{})
		if ok, err := w.Exists(uid); !ok || err != nil {
			t.Errorf("Exists = %v, %v", ok, err)
		}
		if keys, err := w.Pods(); err != nil || len(keys) != 1 || keys[0].UID != uid {
			t.Errorf("Pods = %v, %v", keys, err)
		}
		// What the OCI runtime leaves behind, in hierarchies that podd does not use too.
		for _, m := range everywhere(t, "/") {
			_ = os.MkdirAll(filepath.Join(m, w.root.Pod(uid), "container", "nested"), 0o755)
		}
		remove(t, w)
		if ok, err := w.Exists(uid); ok || err != nil {
			t.Errorf("Exists = %v, %v", ok, err)
		}
		if keys, err := w.Pods(); err != nil || len(keys) != 0 {
			t.Errorf("Pods = %v, %v", keys, err)
		}
	})
}

// TestComingAndGoing: the root goes and comes under the feet of others.
func TestComingAndGoing(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		var pods sync.WaitGroup
		for i := range 4 {
			pods.Go(func() {
				uid := types.UID(fmt.Sprint("u", i))
				for range 10 {
					if err := w.Create(t.Context(), pod.CgroupConfig{UID: uid}); err != nil {
						t.Error(err)
					}
					if err := w.Remove(t.Context(), uid); err != nil {
						t.Error(err)
					}
				}
			})
		}
		pods.Wait()
	})
}

func TestProcessesThatRemainAreNamed(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		create(t, w, pod.PodResources{})
		cmd := inside(everywhere(t, w.root.Pod(uid)), "exec cat")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(stdin, "x")
		if _, err := stdout.Read(make([]byte, 1)); err != nil { // it is inside
			t.Fatal(err)
		}
		err = w.Remove(t.Context(), uid)
		var failure *pod.Failure
		if !errors.As(err, &failure) || failure.Kind != pod.Transient || !strings.Contains(failure.Message, strconv.Itoa(cmd.Process.Pid)) {
			t.Errorf("Remove = %v, want one that names %d", err, cmd.Process.Pid)
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		remove(t, w)
	})
}

// inside runs a command of the shell in a cgroup.
func inside(dirs []string, command string) *exec.Cmd {
	script := ""
	for _, dir := range dirs {
		script += "echo $$ > " + dir + "/cgroup.procs; "
	}
	return exec.Command("/bin/busybox", "sh", "-c", script+command)
}

func TestOOMKills(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		create(t, w, pod.PodResources{MemoryLimit: 16 << 20})
		nested := filepath.Join(w.root.Pod(uid), "container", "nested")
		for _, m := range everywhere(t, w.root.Pod(uid)) {
			if err := os.MkdirAll(filepath.Join(m, "container", "nested"), 0o755); err != nil && !strings.Contains(m, "cpuset") {
				t.Fatal(err)
			}
			if cgroups.IsCgroup2UnifiedMode() { // as the OCI runtime does for its own
				delegate(t, m)
				delegate(t, filepath.Join(m, "container"))
			}
		}
		if cgroup.OOMKilled(filepath.Join(w.root.Pod(uid), "container")) {
			t.Error("OOMKilled before anything ran")
		}
		var memory []string
		for _, dir := range everywhere(t, nested) {
			if strings.Contains(dir, "/memory/") || cgroups.IsCgroup2UnifiedMode() {
				memory = append(memory, dir)
			}
		}
		out, err := inside(memory, "busybox tail /dev/zero; true").CombinedOutput() // the child dies, the shell lives on
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !cgroup.OOMKilled(filepath.Join(w.root.Pod(uid), "container")) {
			t.Error("not OOMKilled")
		}
		remove(t, w)
		if cgroup.OOMKilled(w.root.Pod(uid)) {
			t.Error("OOMKilled though there is no cgroup")
		}
	})
}

// delegate lets a cgroup's children have a memory controller of their own.
func delegate(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveOfNoUID(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		for _, bad := range []types.UID{"", "../..", "x/y"} {
			if err := w.Remove(t.Context(), bad); err == nil {
				t.Errorf("Remove(%q) succeeded", bad)
			}
		}
	})
}

func BenchmarkPod(b *testing.B) {
	c := cgroup.New(runtime.CgroupRoot(fmt.Sprint("/podd-bench-", os.Getpid())), nil, zaptest.NewLogger(b))
	for b.Loop() {
		if err := c.Create(b.Context(), pod.CgroupConfig{UID: uid}); err != nil {
			b.Fatal(err)
		}
		if err := c.Remove(b.Context(), uid); err != nil {
			b.Fatal(err)
		}
	}
}
