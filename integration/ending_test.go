package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// endings are pods that end in their own ways.
const endings = `
apiVersion: v1
kind: Pod
metadata: {name: forced}
spec:
  terminationGracePeriodSeconds: 600
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]
    lifecycle: {preStop: {exec: {command: [sleep, "600"]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: loops}
spec:
  containers:
  - {name: main, image: "busybox:1.36", command: ["false"]}
---
apiVersion: v1
kind: Pod
metadata: {name: says}
spec:
  restartPolicy: Never
  containers:
  - name: file
    image: busybox:1.36
    command: [sh, -c, "head -c 5000 /dev/zero | tr '\\0' x > /tmp/last; exit 1"]
    terminationMessagePath: /tmp/last
  - name: log
    image: busybox:1.36
    command: [sh, -c, "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; exit 1"]
    terminationMessagePolicy: FallbackToLogsOnError
  - name: good
    image: busybox:1.36
    command: [sh, -c, "echo not told"]
    terminationMessagePolicy: FallbackToLogsOnError
`

// TestEndings: force does not wait for hooks and grace periods, a pod that
// crashes again and again goes at once, and last words are told within a
// kubelet's limits.
func TestEndings(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(endings)
	n.ready("forced")
	n.podctl("delete", "pod", "forced", "--wait=false")
	n.blink() // in the midst of its hook
	began := time.Now()
	n.podctl("delete", "pod", "forced", "--grace-period=0", "--force")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("with force it took %s", took)
	}

	n.eventually(30*time.Second, "it waits for its restart", func() error {
		if got := n.get("loops", ".status.containerStatuses[0].state.waiting.reason"); got != "CrashLoopBackOff" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	began = time.Now()
	n.podctl("delete", "pod", "loops")
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("in a crash loop it took %s", took)
	}

	n.phase("says", "Failed")
	message := func(container string) string {
		return n.get("says", fmt.Sprintf(".status.containerStatuses[?(@.name==%q)].state.terminated.message", container))
	}
	if got := message("file"); got != strings.Repeat("x", 4096) {
		t.Errorf("%d bytes from the file: %.40q", len(got), got)
	}
	lines := strings.Split(strings.TrimSpace(message("log")), "\n")
	if len(lines) != 80 || lines[0] != "line 120" || lines[79] != "line 199" {
		t.Errorf("%d lines of the log, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if got := message("good"); got != "" {
		t.Errorf("one that ended well says %q", got)
	}
}
