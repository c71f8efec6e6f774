package integration_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podd-io/podd/runtime"
)

// traces is what only a running pod tells of: the host's ends of veths, and
// the sockets of shims, which are the same directory for all of a host.
type traces struct{ veths, sockets []string }

// bridge is the name of the node's bridge, nftables table and CNI network: a
// hash of the root.
func (n *node) bridge() string {
	sum := sha256.Sum256([]byte(n.path("lib")))
	return "podd" + hex.EncodeToString(sum[:4])
}

func (n *node) traces() traces {
	var found traces
	ports, _ := filepath.Glob("/sys/class/net/" + n.bridge() + "/brif/*")
	for _, port := range ports {
		found.veths = append(found.veths, filepath.Base(port))
	}
	tasks, _ := filepath.Glob(n.taskDir("*"))
	for _, dir := range tasks {
		if address := shimAddress(dir); address != "" {
			found.sockets = append(found.sockets, strings.TrimPrefix(address, "unix://"))
		}
	}
	return found
}

// shimAddress is where a task's shim listens: containerd before 2.0 kept it in
// a file of its own.
func shimAddress(taskDir string) string {
	var shim struct{ Address string }
	text, err := os.ReadFile(filepath.Join(taskDir, "bootstrap.json"))
	if err == nil && json.Unmarshal(text, &shim) == nil {
		return shim.Address
	}
	text, _ = os.ReadFile(filepath.Join(taskDir, "address")) // no task, no shim
	return string(text)
}

// leftInContainerd tells, while containerd still answers, of what is in it
// but images and their snapshots.
func (n *node) leftInContainerd() []string {
	var left []string
	list := func(what string, skip func(line string) bool, args ...string) {
		cmd := exec.Command(bin(n.t, "bundle/ctr"), append([]string{"-a", n.containerdSocket(), "-n", n.namespace()}, args...)...)
		var out bytes.Buffer
		cmd.Stdout = &out // warnings go to stderr
		if err := cmd.Run(); err != nil {
			left = append(left, fmt.Sprintf("%s: ctr: %v", what, err))
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSpace(line); line != "" && !skip(line) {
				left = append(left, what+" "+line)
			}
		}
	}
	none := func(string) bool { return false }
	list("container", none, "containers", "ls", "-q")
	list("task", none, "tasks", "ls", "-q")
	list("snapshot", func(line string) bool { return strings.HasPrefix(line, "KEY") || strings.HasSuffix(line, "Committed") }, "snapshots", "ls")
	list("lease", none, "leases", "ls", "-q")
	return left
}

// leftOnHost tells, when podd has stopped, of what is left outside containerd.
func (n *node) leftOnHost(seen traces) []string {
	return slices.Concat(n.leftProcesses(), n.leftMounts(), n.leftCgroups(), n.leftNetwork(seen), n.leftFiles(seen))
}

// leftProcesses: shims take a moment to end after their last container.
func (n *node) leftProcesses() []string {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var left []string
		for _, p := range n.processes() {
			left = append(left, fmt.Sprintf("process %d: %.150s", p.pid, p.command))
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func (n *node) leftMounts() []string {
	var left []string
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, n.dir) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return left
}

// leftCgroups looks into cgroup v2's tree and into every v1 hierarchy.
func (n *node) leftCgroups() []string {
	var left []string
	root := runtime.CgroupRoot(n.cgroupRoot()).Path()
	for _, pattern := range []string{"/sys/fs/cgroup" + root, "/sys/fs/cgroup/*" + root} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			left = append(left, "cgroup "+dir)
		}
	}
	return left
}

func (n *node) leftNetwork(seen traces) []string {
	var left []string
	for _, link := range append([]string{n.bridge()}, seen.veths...) {
		if _, err := os.Stat("/sys/class/net/" + link); err == nil {
			left = append(left, "link "+link)
		}
	}
	for _, list := range [][]string{{"nft", "list", "ruleset"}, {"iptables-save"}} {
		out, err := exec.Command(list[0], list[1:]...).Output()
		if err != nil {
			left = append(left, fmt.Sprintf("%s: %v", list[0], err))
		}
		if strings.Contains(string(out), n.bridge()) {
			left = append(left, "rules of "+list[0])
		}
	}
	return left
}

func (n *node) leftFiles(seen traces) []string {
	var left []string
	for _, pattern := range []string{
		n.path("run/netns/*"), n.path("run/io/*"), n.path("run/exec/*"), n.path("run/pods/*"), n.path("run/runc/*/*"),
		n.path("run/cni/leases/*"), n.path("lib/cni/*"), n.path("lib/pods/*"), n.path("log/*"),
		n.taskDir("*"), filepath.Join(n.containerdRoot(), "io.containerd.runtime.v2.task/*/*"),
		"/run/containerd/runc/" + n.namespace(), "/var/lib/cni/results/" + n.bridge() + "-*",
	} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			left = append(left, "file "+path)
		}
	}
	for _, socket := range seen.sockets {
		if _, err := os.Stat(socket); err == nil {
			left = append(left, "socket "+socket)
		}
	}
	return left
}

// TestTheLeakCheckSees holds the check to what it is for: while a pod runs, it
// finds everything of which nothing may be left after a test.
func TestTheLeakCheckSees(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("there", "sleep 1000", "volumes: [{name: memory, emptyDir: {medium: Memory}}]") +
		"    volumeMounts: [{name: memory, mountPath: /memory}]\n" +
		fmt.Sprintf("    ports: [{containerPort: 80, hostPort: %d}]\n", freePort(t)))
	n.ready("there")
	seen := n.traces()
	if len(seen.veths) != 1 || len(seen.sockets) != 2 {
		t.Errorf("one veth and one shim for two containers are there; seen: %v", seen)
	}
	found := strings.Join(append(n.leftInContainerd(), n.leftOnHost(seen)...), "\n")
	for _, want := range []string{
		"container ", "task ", "snapshot ", "containerd-shim", "podd --root", "mount ", "/memory", "/rootfs", "cgroup ",
		"link " + n.bridge(), "link veth", "rules of nft", "run/netns/", "run/io/", "run/pods/", "run/runc/", "run/cni/leases/",
		"lib/cni/", "lib/pods/", "/log/", "/var/lib/cni/results/", "socket /run/containerd/s/",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("a running pod's %q is not seen in:\n%s", want, found)
		}
	}
}
