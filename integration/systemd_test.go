//go:build vm

package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/runtime"
)

// unit is a podd that systemd keeps, with the pods' cgroups as units as well.
type unit struct {
	*node
	name string
}

// newUnit starts a podd as a service of systemd's. Its pods' cgroups are below a
// slice.
func newUnit(t *testing.T, name, slice string, other *containerd, flags ...string) *unit {
	t.Helper()
	dir := filepath.Join("/tmp", name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	u := &unit{name: name, node: &node{
		t: t, dir: dir, id: int(nodes.Add(1)), metrics: fmt.Sprintf("127.0.0.1:%d", freePort(t)), slice: slice, extra: flags, other: other,
	}}
	text := fmt.Sprintf(`[Service]
Type=notify
ExecStart=%s %s
Restart=always
RestartSec=100ms
KillMode=process
OOMPolicy=continue
TasksMax=infinity
Delegate=yes
TimeoutStartSec=3min
`, bin(t, "podd"), strings.Join(u.flags(), " "))
	if err := os.WriteFile("/run/systemd/system/"+name+".service", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "daemon-reload")
	t.Cleanup(u.end)
	systemctl(t, "start", name)
	u.answers()
	for _, image := range images(t) {
		u.podctl("images", "import", image)
	}
	return u
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// end removes all pods, stops podd, and looks for what is left.
func (u *unit) end() {
	seen := u.traces()
	if out, err := u.try("delete", "pods", "--all", "-A", "--grace-period=0", "--force", fmt.Sprint("--timeout=", time.Minute*slowness)); err != nil {
		u.t.Errorf("delete all pods: %v\n%s", err, out)
	}
	left := u.leftInContainerd()
	systemctl(u.t, "stop", u.name)
	for _, what := range slices.Concat(left, u.leftOnHost(seen), u.leftUnits()) {
		u.t.Errorf("leak: %s", what)
	}
	if u.t.Failed() {
		journal, _ := exec.Command("journalctl", "--no-pager", "-u", u.name, "-u", "containerd").CombinedOutput()
		u.t.Logf("the journal:\n%s", journal)
	}
}

// leftUnits are slices and scopes that systemd still knows, failed ones too.
func (u *unit) leftUnits() []string {
	pattern := strings.TrimSuffix(u.slice, ".slice") + "[.-]*"
	var left []string
	for line := range strings.Lines(systemctl(u.t, "list-units", "--all", "--plain", "--no-legend", "--type=slice,scope", pattern)) {
		left = append(left, "unit "+strings.TrimSpace(line))
	}
	return left
}

// hasV2 reads a file of cgroup v2.
func (u *unit) hasV2(group, file, want string) {
	u.t.Helper()
	text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", group, file))
	if err != nil {
		u.t.Error(err)
	} else if got := strings.TrimSpace(string(text)); got != want {
		u.t.Errorf("%s/%s is %q, want %q", group, file, got, want)
	}
}

// groupOf is the cgroup that a process is in.
func (u *unit) groupOf(pid int) string {
	u.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		u.t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(text)), "0::")
}

func (u *unit) containerID(pod string) string {
	u.t.Helper()
	return strings.TrimPrefix(u.get(pod, ".status.containerStatuses[0].containerID"), "containerd://")
}

// wholeLife is what a pod goes through on any containerd.
// weight is the container's cpu.weight, which the OCI runtime makes of 256 shares.
func (u *unit) wholeLife(weight string) {
	u.t.Helper()
	u.apply(shell("limited", "echo up; sleep 100000") +
		"    resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}\n")
	u.logs("up", "limited")
	uid, id := u.get("limited", ".metadata.uid"), u.containerID("limited")
	root := runtime.CgroupRoot(u.cgroupRoot())
	scope := u.groupOf(u.pid("limited", "main"))
	if parent := root.Container(types.UID(uid), id); path.Dir(scope) != parent || path.Ext(scope) != ".scope" {
		u.t.Errorf("the container runs in %s, want a scope in %s", scope, parent)
	}
	if pause := u.groupOf(u.pausePID()); path.Dir(pause) != root.Pod(types.UID(uid)) {
		u.t.Errorf("the pause container runs in %s, want a scope in %s", pause, root.Pod(types.UID(uid)))
	}
	if what := systemctl(u.t, "show", "--property=Description", "--value", path.Base(scope)); what != "Container main of pod default/limited" {
		u.t.Errorf("the scope is described as %q", what)
	}
	u.hasV2(scope, "memory.oom.group", "1") // systemd before 253 resets it when it is reloaded
	for range 2 {                           // once as they were made, once as systemd sets them
		for _, group := range []string{root.Pod(types.UID(uid)), scope} {
			u.hasV2(group, "cpu.max", "50000 100000")
			u.hasV2(group, "memory.max", "67108864")
			u.hasV2(group, "pids.max", "max") // as a kubelet's default
		}
		u.hasV2(root.Pod(types.UID(uid)), "cpu.weight", "35")
		u.hasV2(scope, "cpu.weight", weight)
		u.hasV2(scope, "memory.swap.max", "0")
		systemctl(u.t, "daemon-reload")
	}
	if adj, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", u.pausePID())); err != nil || string(adj) != "-998\n" {
		u.t.Errorf("the pause program's oom_score_adj is %q, %v: with every right it is a kubelet's -998", adj, err)
	}

	// It is a child that the kernel picks; memory.oom.group ends all of them.
	u.apply(shell("greedy", "tail /dev/zero; echo survived; sleep 100000", "restartPolicy: Never") + "    resources: {limits: {memory: 32Mi}}\n")
	u.phase("greedy", "Failed")
	if reason := u.get("greedy", ".status.containerStatuses[0].state.terminated.reason"); reason != "OOMKilled" {
		u.t.Errorf("reason %q", reason)
	}
	if out := u.podctl("get", "pod", "greedy"); !strings.Contains(out, "OOMKilled") {
		u.t.Errorf("podctl get says:\n%s", out)
	}

	u.killed(func() { systemctl(u.t, "kill", "--kill-whom=main", "--signal=KILL", u.name) }, id)
	u.killed(func() { systemctl(u.t, "restart", u.name) }, id)

	group := filepath.Join("/sys/fs/cgroup", root.Pod(types.UID(uid)))
	netns := u.path("run/netns", uid)
	for _, path := range []string{group, netns} {
		if _, err := os.Stat(path); err != nil {
			u.t.Error(err)
		}
	}
	u.podctl("delete", "pod", "limited", "greedy")
	for _, path := range []string{group, netns} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			u.t.Errorf("%s is left: %v", path, err)
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), uid) || strings.Contains(string(mounts), id) {
		u.t.Errorf("mounts are left:\n%s", mounts)
	}
}

// killed ends podd in some way, and checks that systemd brings it back and the
// container did not notice.
func (u *unit) killed(how func(), id string) {
	u.t.Helper()
	main := systemctl(u.t, "show", "--property=MainPID", "--value", u.name)
	pid := u.pid("limited", "main")
	how()
	u.eventually(time.Minute, "systemd starts podd again", func() error {
		now := systemctl(u.t, "show", "--property=MainPID", "--value", u.name)
		if state, _ := exec.Command("systemctl", "is-active", u.name).Output(); now == main || now == "0" || string(state) != "active\n" {
			return fmt.Errorf("its main process is %s and was %s; it is %s", now, main, state)
		}
		return nil
	})
	u.answers()
	if now := u.containerID("limited"); now != id {
		u.t.Errorf("container %s is %s now", id, now)
	}
	if now := u.pid("limited", "main"); now != pid {
		u.t.Errorf("its process was %d and is %d", pid, now)
	}
	if count := u.get("limited", ".status.containerStatuses[0].restartCount"); count != "0" {
		u.t.Errorf("restart count %s", count)
	}
	if out := u.podctl("exec", "limited", "--", "hostname"); out != "limited\n" {
		u.t.Errorf("exec says %q", out)
	}
}

func TestUnderSystemd(t *testing.T) {
	newUnit(t, "podd-own", "podd.slice", nil, "--cgroup-root=").wholeLife("35")
}

// TestBesideDebiansContainerd: auto finds the distribution's containerd, with
// its own configuration, at its usual place.
func TestBesideDebiansContainerd(t *testing.T) {
	systemctl(t, "start", "containerd")
	t.Cleanup(func() { systemctl(t, "stop", "containerd") })
	u := newUnit(t, "podd-auto", "other.slice", &containerd{
		t: t, root: "/var/lib/containerd", state: "/run/containerd", socket: "/run/containerd/containerd.sock",
	}, "--containerd", "auto")
	if choice, err := os.ReadFile(u.path("lib/containerd.choice")); err != nil || string(choice) != "/run/containerd/containerd.sock\n" {
		t.Errorf("auto chose %q, %v", choice, err)
	}
	u.wholeLife("10") // runc 1.1 has the linear formula that Kubernetes had too, up to 1.34
	// A restart of the host's containerd, as its upgrade does it.
	u.apply(counting)
	u.ready("counts")
	pid := u.pid("counts", "main")
	systemctl(t, "restart", "containerd")
	u.answers()
	u.unharmed(pid)
}
