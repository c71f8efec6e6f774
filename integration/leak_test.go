package integration_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// checkContainerd looks, while containerd still answers and when all pods are
// gone, for what is left in it: tasks, containers, snapshots that are not an
// image's, leases.
func (n *node) checkContainerd() {
	socket := n.path("run/containerd/containerd.sock")
	ask := func(args ...string) []string {
		cmd := exec.Command(bin(n.t, "bundle/ctr"), append([]string{"-a", socket, "-n", n.namespace()}, args...)...)
		var out bytes.Buffer
		cmd.Stdout = &out // warnings go to stderr
		if err := cmd.Run(); err != nil {
			n.t.Errorf("leak check: ctr %v: %v", args, err)
		}
		return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' })
	}
	for _, left := range ask("containers", "ls", "-q") {
		n.t.Errorf("leak: containerd container %s", left)
	}
	for _, left := range ask("tasks", "ls", "-q") {
		n.t.Errorf("leak: task %s", left)
	}
	for _, line := range ask("snapshots", "ls")[1:] {
		if !strings.Contains(line, "Committed") {
			n.t.Errorf("leak: snapshot %s", line)
		}
	}
	for _, line := range ask("leases", "ls")[1:] {
		n.t.Errorf("leak: lease %s", line)
	}
}

// checkHost looks, when podd has stopped, for what is left on the host.
func (n *node) checkHost() {
	n.checkProcesses()
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, n.dir) {
			n.t.Errorf("leak: mount %s", strings.TrimSpace(line))
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup" + n.cgroupRoot(), "/sys/fs/cgroup/*" + n.cgroupRoot()} {
		left, _ := filepath.Glob(pattern)
		for _, dir := range left {
			n.t.Errorf("leak: cgroup %s", dir)
		}
	}
	n.checkNetwork()
	for _, dir := range []string{"run/netns", "run/io", "run/exec", "run/pods", "run/cni/leases", "lib/cni", "lib/pods", "log"} {
		entries, _ := os.ReadDir(n.path(dir))
		for _, e := range entries {
			n.t.Errorf("leak: file %s/%s", dir, e.Name())
		}
	}
}

// checkProcesses: shims take a moment to end after their last container.
func (n *node) checkProcesses() {
	deadline := time.Now().Add(5 * time.Second)
	for {
		left := n.processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, p := range left {
				n.t.Errorf("leak: process %d: %.150s", p.pid, p.command)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// checkNetwork: bridge, nftables table and CNI network are named after a hash
// of the root; veths hang on the bridge.
func (n *node) checkNetwork() {
	sum := sha256.Sum256([]byte(n.path("lib")))
	name := "podd" + hex.EncodeToString(sum[:4])
	if _, err := os.Stat("/sys/class/net/" + name); err == nil {
		n.t.Errorf("leak: bridge %s", name)
	}
	tables, err := exec.Command("nft", "list", "tables").CombinedOutput()
	if err != nil {
		n.t.Errorf("leak check: nft: %v: %s", err, tables)
	}
	if strings.Contains(string(tables), name) {
		n.t.Errorf("leak: nftables table %s", name)
	}
	left, _ := filepath.Glob("/var/lib/cni/results/" + name + "-*")
	for _, path := range left {
		n.t.Errorf("leak: CNI result %s", path)
	}
}
