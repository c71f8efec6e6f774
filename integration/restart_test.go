package integration_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

const counting = `
apiVersion: v1
kind: Pod
metadata: {name: counts}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    command: ["sh", "-c", "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done"]
  - name: web
    image: nginx:1.14.2
    livenessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
`

// unharmed checks that what ran before runs on, restarted nowhere, and that
// not a line of its output is missing or doubled.
func (n *node) unharmed(before int) {
	n.t.Helper()
	if now := n.pid("counts", "main"); now != before {
		n.t.Errorf("the container's process was %d and is %d", before, now)
	}
	if counts := n.get("counts", ".status.containerStatuses[*].restartCount"); counts != "0 0" {
		n.t.Errorf("restart counts %s", counts)
	}
	seen := strings.Count(n.podctl("logs", "counts", "-c", "main"), "\n")
	n.eventually(10*time.Second, "the log goes on", func() error {
		if now := strings.Count(n.podctl("logs", "counts", "-c", "main"), "\n"); now < seen+5 {
			return fmt.Errorf("%d lines, then %d", seen, now)
		}
		return nil
	})
	i := 0
	for line := range strings.Lines(n.podctl("logs", "counts", "-c", "main")) {
		if line != fmt.Sprintf("line %d\n", i) {
			n.t.Fatalf("line %d of the log is %q", i, line)
		}
		i++
	}
}

func TestPoddIsKilled(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(counting)
	n.ready("counts")
	pid, containerd := n.pid("counts", "main"), n.containerdPID()
	n.kill()
	time.Sleep(500 * time.Millisecond) // the container writes meanwhile
	n.start()
	n.unharmed(pid)
	if now := n.containerdPID(); now != containerd {
		t.Errorf("containerd was %d and is %d: it should have been adopted", containerd, now)
	}
}

func TestContainerdIsKilled(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(counting)
	n.ready("counts")
	pid := n.pid("counts", "main")
	if err := syscall.Kill(n.containerdPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.eventually(20*time.Second, "containerd is back", func() error {
		_, err := n.try("version")
		return err
	})
	n.unharmed(pid)
	n.apply(shell("after", "sleep 1000"))
	n.ready("after")
}

func TestPoddStopsInGoodOrder(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(counting)
	n.ready("counts")
	pid := n.pid("counts", "main")
	n.stop()
	for _, p := range n.processes() {
		if strings.HasPrefix(p.command, "containerd --config") {
			t.Errorf("containerd runs on: %s", p.command)
		}
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the container does not run any more: %v", err)
	}
	n.start()
	n.unharmed(pid)
}

func TestAPodIsDeletedWhilePoddIsKilled(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("victim", "trap '' TERM; while true; do sleep 0.1; done"))
	n.ready("victim")
	n.podctl("delete", "pod", "victim", "--grace-period=3", "--wait=false")
	n.kill()
	n.start()
	n.podctl("wait", "--for=delete", "pod/victim", "--timeout=30s")
}

func TestAContainerThatEndsWhilePoddIsAway(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("brief", "sleep 2; exit 5", "restartPolicy: Never"))
	n.ready("brief")
	n.kill()
	time.Sleep(3 * time.Second) // it ends meanwhile
	n.start()
	n.phase("brief", "Failed")
	if code := n.get("brief", ".status.containerStatuses[0].state.terminated.exitCode"); code != "5" {
		t.Errorf("exit code %s", code)
	}
}

func TestTheSandboxIsKilled(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(counting)
	n.ready("counts")
	if err := syscall.Kill(n.pausePID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.eventually(30*time.Second, "the containers are started anew", func() error {
		if counts := n.get("counts", ".status.containerStatuses[*].restartCount"); counts != "1 1" {
			return fmt.Errorf("restart counts %s", counts)
		}
		return nil
	})
	n.ready("counts")
}
