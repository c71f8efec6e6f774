package integration_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// blink kills podd and starts it again.
func (n *node) blink() {
	n.t.Helper()
	n.kill()
	n.start()
}

// shared makes a directory that pods and the test share.
func (n *node) shared() string {
	n.t.Helper()
	dir := n.path("shared")
	if err := os.Mkdir(dir, 0o777); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *node) restartCount(pod, container, want string) {
	n.t.Helper()
	n.eventually(30*time.Second, container+" is restarted", func() error {
		if got := n.get(pod, fmt.Sprintf(`.status.containerStatuses[?(@.name=="%s")].restartCount`, container)); got != want {
			return fmt.Errorf("restart count %s, not %s", got, want)
		}
		return nil
	})
}

// probedContainer has a liveness and a readiness probe of one kind.
const probedContainer = `
  - name: %[1]s
    image: busybox:1.36
    command: %[2]s
    livenessProbe: {%[3]s, periodSeconds: 1, failureThreshold: 2}
    readinessProbe: {%[3]s, periodSeconds: 1, failureThreshold: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]`

// TestProbeKinds: whatever its kind, a probe finds out, podd killed in the midst
// of it or not.
func TestProbeKinds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	shared := n.shared()
	build(t, "serve", shared)
	serve := func(kind string, port int) string {
		return fmt.Sprintf(`[/shared/serve, %s, "%d", /shared/%s-sick]`, kind, port, kind)
	}
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: probed}\nspec:\n  terminationGracePeriodSeconds: 0\n"+
		"  volumes: [{name: shared, hostPath: {path: %q}}]\n  containers:", shared)
	manifest += fmt.Sprintf(probedContainer, "exec", `[sh, -c, "rm -f /shared/exec-sick; sleep 1000"]`, "exec: {command: [test, '!', -e, /shared/exec-sick]}")
	manifest += fmt.Sprintf(probedContainer, "http", serve("http", 8080), "httpGet: {port: 8080, path: /healthz}")
	manifest += fmt.Sprintf(probedContainer, "tcp", serve("tcp", 8081), "tcpSocket: {port: 8081}")
	manifest += fmt.Sprintf(probedContainer, "grpc", serve("grpc", 8082), "grpc: {port: 8082, service: app}")
	n.apply(manifest)
	n.ready("probed")
	for kind, says := range map[string]string{
		"exec": "Liveness probe failed:", "http": "Liveness probe failed: HTTP probe failed with statuscode: 503",
		"tcp": "connect: connection refused", "grpc": `Liveness probe failed: service unhealthy (responded with "NOT_SERVING")`,
	} {
		touch(t, shared+"/"+kind+"-sick")
		n.eventually(20*time.Second, kind+"'s probe fails", func() error {
			if out := n.podctl("events", "--for", "pod/probed"); !strings.Contains(out, says) {
				return fmt.Errorf("events:\n%s", out)
			}
			return nil
		})
		n.blink()
		n.restartCount("probed", kind, "1")
		n.ready("probed")
	}
}

// TestProbesBelowASecond: a period in milliseconds is kept.
func TestProbesBelowASecond(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(strings.Replace(shell("quick", "touch /tmp/ready; sleep 1000")+`
    readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 60, failureThreshold: 1}
`, "metadata: {name: quick}", "metadata: {name: quick, annotations: {podd.io/probe-period-ms: main/readiness=100}}", 1))
	n.ready("quick")
	n.podctl("exec", "quick", "--", "rm", "/tmp/ready")
	n.podctl("wait", "--for=condition=Ready=false", "pod/quick", "--timeout=5s")
	n.podctl("exec", "quick", "--", "touch", "/tmp/ready")
	n.podctl("wait", "--for=condition=Ready", "pod/quick", "--timeout=5s")
}

// TestCrashLoopAcrossKills: restart counts and back-off go on where they were.
func TestCrashLoopAcrossKills(t *testing.T) {
	t.Parallel()
	n := newNode(t, "--max-container-restart-period=2s")
	shared := n.shared()
	n.apply(strings.Replace(shell("crash", "date +%s >> /shared/starts; exit 3",
		fmt.Sprintf("volumes: [{name: shared, hostPath: {path: %q}}]", shared)), "    command:", "    volumeMounts: [{name: shared, mountPath: /shared}]\n    command:", 1))
	for count := 1; count <= 4; count++ {
		n.restartCount("crash", "main", fmt.Sprint(count))
		n.blink()
	}
	if got := n.get("crash", ".status.containerStatuses[0].lastState.terminated.exitCode"); got != "3" {
		t.Errorf("last exit code %s", got)
	}
	n.restartCount("crash", "main", "5")
	n.eventually(10*time.Second, "it started six times", func() error {
		starts, err := os.ReadFile(shared + "/starts")
		if got := strings.Count(string(starts), "\n"); got != 6 {
			return errors.Join(fmt.Errorf("it started %d times", got), err)
		}
		return nil
	})
}

// TestOOMKilledAndRestarted, podd away meanwhile: the reason is seen all the same.
func TestOOMKilledAndRestarted(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	shared := n.shared()
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: shared, hostPath: {path: %q}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "[ -e /shared/fed ] && sleep 1000; while [ ! -e /shared/go ]; do sleep 0.1; done; touch /shared/fed; exec tail /dev/zero"]
    resources: {limits: {memory: 16Mi}}
    volumeMounts: [{name: shared, mountPath: /shared}]
`, shared))
	n.ready("greedy")
	pid := n.pid("greedy", "main")
	n.kill()
	touch(t, shared+"/go")
	n.eventually(20*time.Second, "it is killed", func() error {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(text), ") Z ") {
			_, err := os.Stat(shared + "/fed")
			return errors.Join(errors.New("it runs"), err)
		}
		return nil
	})
	n.start()
	n.restartCount("greedy", "main", "1")
	if got := n.get("greedy", ".status.containerStatuses[0].lastState.terminated.reason"); got != "OOMKilled" {
		t.Errorf("reason %s", got)
	}
}

// TestRestartAllContainers by the exit of one: init containers run again, and
// the sandbox stays.
func TestRestartAllContainers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	shared := n.shared()
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: trainer}
spec:
  restartPolicy: Never
  volumes: [{name: shared, hostPath: {path: %q}}]
  initContainers:
  - {name: setup, image: "busybox:1.36", command: [sh, -c, "echo setup >> /shared/order; sleep 1"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "echo main >> /shared/order; while [ ! -e /shared/go ]; do sleep 0.1; done; rm /shared/go; exit 88"]
    restartPolicy: Never
    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [88]}}]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: side
    image: busybox:1.36
    command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]
    lifecycle: {preStop: {exec: {command: [sleep, "20"]}}}
`, shared))
	n.ready("trainer")
	ip := n.get("trainer", ".status.podIP")
	touch(t, shared+"/go")
	n.restartCount("trainer", "side", "1")
	n.blink() // setup runs again
	n.ready("trainer")
	if now := n.get("trainer", ".status.podIP"); now != ip {
		t.Errorf("the pod's address was %s and is %s", ip, now)
	}
	if got := n.get("trainer", ".status.initContainerStatuses[0].restartCount"); got != "1" {
		t.Errorf("setup was restarted %s times", got)
	}
	order, err := os.ReadFile(shared + "/order")
	if err != nil {
		t.Fatal(err)
	}
	if want := "setup\nmain\nsetup\nmain\n"; string(order) != want {
		t.Errorf("order:\n%s", order)
	}
}

// TestStopSignal: the one that the pod names is sent.
func TestStopSignal(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	shared := n.shared()
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: picky}
spec:
  os: {name: linux}
  volumes: [{name: shared, hostPath: {path: %q}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "trap 'echo USR1 > /shared/got; exit 0' USR1; while :; do sleep 0.1; done"]
    lifecycle: {stopSignal: SIGUSR1}
    volumeMounts: [{name: shared, mountPath: /shared}]
`, shared))
	n.ready("picky")
	n.podctl("delete", "pod", "picky")
	if got, err := os.ReadFile(shared + "/got"); err != nil || string(got) != "USR1\n" {
		t.Errorf("%q, %v", got, err)
	}
}
