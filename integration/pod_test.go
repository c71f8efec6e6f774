package integration_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell is a pod of one busybox container that runs a script.
func shell(name, script string, more ...string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 1
  %s
  containers:
  - name: main
    image: busybox:1.36
    command: ["sh", "-c", %q]
`, name, strings.Join(more, "\n  "), script)
}

func TestAPodRunsToItsEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("done", "echo hello; exit 0", "restartPolicy: Never"))
	n.phase("done", "Succeeded")
	n.logs("hello", "done")
	n.apply(shell("failed", "echo sorry >&2; exit 3", "restartPolicy: Never"))
	n.phase("failed", "Failed")
	if code := n.get("failed", ".status.containerStatuses[0].state.terminated.exitCode"); code != "3" {
		t.Errorf("exit code %s", code)
	}
	n.logs("sorry", "failed")
}

func TestHostPortAndNeighbours(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	port := freePort(t)
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: nginx:1.14.2
    ports: [{containerPort: 80, hostPort: %d}]
    readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
`, port))
	n.ready("web")
	for _, host := range []string{"127.0.0.1", hostAddress(t)} {
		if body := fetch(t, fmt.Sprintf("http://%s:%d/", host, port)); body != "Welcome to nginx!\n" {
			t.Errorf("through %s: %q", host, body)
		}
	}
	n.apply(shell("neighbour", fmt.Sprintf("wget -qO- http://%s/ && wget -qO- http://%s:%d/ && echo reached",
		n.get("web", ".status.podIP"), hostAddress(t), port), "restartPolicy: Never"))
	n.logs("reached", "neighbour")
	// The same port again is Failed, as a kubelet says it, and disturbs nobody.
	n.apply(strings.ReplaceAll(n.manifest("web"), "name: web\n  namespace", "name: second\n  namespace"))
	n.phase("second", "Failed")
	if reason := n.get("second", ".status.reason"); reason != "NodePorts" {
		t.Errorf("reason %s", reason)
	}
	fetch(t, fmt.Sprintf("http://127.0.0.1:%d/", port))
}

// manifest is a pod's as stored, without what only the server says.
func (n *node) manifest(pod string) string {
	var keep []string
	skip := false
	for line := range strings.Lines(n.podctl("get", "pod", pod, "-o", "yaml")) {
		switch {
		case strings.HasPrefix(line, "status:"):
			return strings.Join(keep, "")
		case strings.HasPrefix(line, "  uid:"), strings.HasPrefix(line, "  resourceVersion:"),
			strings.HasPrefix(line, "  creationTimestamp:"), strings.HasPrefix(line, "  generation:"):
			skip = true
		default:
			skip = false
		}
		if !skip {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "")
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func hostAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() && !strings.HasPrefix(ip.IP.String(), "10.") {
			return ip.IP.String()
		}
	}
	t.Fatal("the host has no address")
	return ""
}

func TestAHostPortThatAForeignProcessHolds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n.apply(shell("late", "sleep 1000") + fmt.Sprintf("    ports: [{containerPort: 80, hostPort: %d}]\n", l.Addr().(*net.TCPAddr).Port))
	n.eventually(10*time.Second, "an event names the port", func() error {
		if out := n.podctl("get", "events"); !strings.Contains(out, "is in use by another process") {
			return fmt.Errorf("events:\n%s", out)
		}
		return nil
	})
	l.Close() // and when it is free, the pod starts
	n.ready("late")
}

func TestEnvironmentFromObjectsAndFields(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {COLOUR: green, shape: round}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Pod
metadata: {name: env, labels: {tier: back}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox:1.36
    command: ["sh", "-c"]
    args: ["env | sort; echo '$(GREETING) $(NOT_THERE) $$(ESCAPED)'; hostname; cat /etc/hosts"]
    envFrom: [{prefix: C_, configMapRef: {name: config}}, {secretRef: {name: nowhere, optional: true}}]
    env:
    - {name: WHO, value: world}
    - {name: GREETING, value: "hello $(WHO)"}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: secret, key: password}}}
    - {name: SHAPE, valueFrom: {configMapKeyRef: {name: config, key: shape}}}
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
`)
	n.phase("env", "Succeeded")
	log := n.podctl("logs", "env")
	for _, want := range []string{
		"C_COLOUR=green", "SHAPE=round", "PASSWORD=hunter2", "GREETING=hello world", "POD_NAME=env", "TIER=back",
		"NODE=test-node", "HOSTNAME=env", "hello world $(NOT_THERE) $(ESCAPED)", "\nenv\n", "POD_IP=" + n.get("env", ".status.podIP") + "\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
}

func TestWhatWaitsForAnObjectStartsWhenItComes(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("waits", "cat /config/word; sleep 1000", "volumes: [{name: config, configMap: {name: later}}]") +
		"    volumeMounts: [{name: config, mountPath: /config}]\n" +
		"    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: later, key: token}}}]\n")
	n.eventually(10*time.Second, "an event says what is missing", func() error {
		if out := n.podctl("get", "events"); !strings.Contains(out, `configmap "later" not found`) {
			return fmt.Errorf("events:\n%s", out)
		}
		return nil
	})
	n.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {word: first}\n")
	n.eventually(10*time.Second, "the secret is waited for", func() error {
		if reason := n.get("waits", ".status.containerStatuses[0].state.waiting.reason"); reason != "CreateContainerConfigError" {
			return fmt.Errorf("waiting: %s", reason)
		}
		return nil
	})
	n.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: later}\nstringData: {token: abc}\n")
	n.ready("waits")
	n.logs("first", "waits")

	// And a change is in the volume within two seconds.
	n.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {word: second}\n")
	n.eventually(2*time.Second, "the changed word is in the volume", func() error {
		if out := n.podctl("exec", "waits", "--", "cat", "/config/word"); !strings.Contains(out, "second") {
			return fmt.Errorf("it is %q", out)
		}
		return nil
	})
}

func TestSecurityContext(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("secure", "id; cat /proc/self/status; ls -ld /data; touch /data/x && ls -l /data/x; touch /no || echo read-only; sleep 1000",
		"securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000]}",
		"volumes: [{name: data, emptyDir: {}}]") + `
    volumeMounts: [{name: data, mountPath: /data}]
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
`)
	n.ready("secure")
	log := n.logs("read-only", "secure")
	for _, want := range []string{"uid=1000(app) gid=3000", "2000", "4000", "NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000400", "drwxrwsrwx", " 2000 "} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
	n.apply(shell("rootless", "id", "securityContext: {runAsNonRoot: true}"))
	n.eventually(10*time.Second, "root is refused", func() error {
		if out := n.get("rootless", ".status.containerStatuses[0].state.waiting"); !strings.Contains(out, "image will run as root") {
			return fmt.Errorf("waiting: %s", out)
		}
		return nil
	})
	n.apply(shell("mighty", "cat /proc/self/status; ls /dev/kmsg /dev/null; sleep 1000") + "    securityContext: {privileged: true}\n")
	n.ready("mighty")
	if log := n.logs("/dev/null", "mighty"); !strings.Contains(log, "Seccomp:\t0") || !strings.Contains(log, "/dev/kmsg") {
		t.Errorf("not privileged:\n%s", log)
	}
}

func TestLimitsAreInTheCgroupAndOOMKills(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("limited", "sleep 1000") + "    resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}\n")
	n.ready("limited")
	uid := n.get("limited", ".metadata.uid")
	id := strings.TrimPrefix(n.get("limited", ".status.containerStatuses[0].containerID"), "containerd://")
	for _, group := range []string{"pod" + uid, "pod" + uid + "/" + id} {
		n.cgroupHas(group, "memory", "memory.limit_in_bytes", "memory.max", "67108864")
		n.cgroupHas(group, "cpu", "cpu.shares", "", "256")
		n.cgroupHas(group, "cpu", "cpu.cfs_quota_us", "", "50000")
	}
	n.apply(shell("greedy", "exec tail /dev/zero", "restartPolicy: Never") +
		"    resources: {limits: {memory: 16Mi}}\n")
	n.phase("greedy", "Failed")
	if reason := n.get("greedy", ".status.containerStatuses[0].state.terminated.reason"); reason != "OOMKilled" {
		t.Errorf("reason %q", reason)
	}
}

// cgroupHas reads a setting where this host has it: v1, or v2 if a name is
// given for it.
func (n *node) cgroupHas(group, controller, v1, v2, want string) {
	n.t.Helper()
	path := filepath.Join("/sys/fs/cgroup", controller, n.cgroupRoot(), group, v1)
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		if v2 == "" {
			return
		}
		path = filepath.Join("/sys/fs/cgroup", n.cgroupRoot(), group, v2)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		n.t.Error(err)
	} else if got := strings.TrimSpace(string(text)); got != want {
		n.t.Errorf("%s is %s, want %s", path, got, want)
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("flips", "touch /tmp/ready /tmp/alive; nc -lk -p 7000 -e true & sleep 1000") + `
    readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {exec: {command: [cat, /tmp/alive]}, periodSeconds: 1, failureThreshold: 1}
  - name: tcp
    image: nginx:1.14.2
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
`)
	n.ready("flips")
	n.podctl("exec", "flips", "-c", "main", "--", "rm", "/tmp/ready")
	n.podctl("wait", "--for=condition=Ready=false", "pod/flips", "--timeout=20s")
	n.podctl("exec", "flips", "-c", "main", "--", "touch", "/tmp/ready")
	n.ready("flips")
	n.podctl("exec", "flips", "-c", "main", "--", "rm", "/tmp/alive")
	n.eventually(20*time.Second, "it is restarted", func() error {
		if count := n.get("flips", `.status.containerStatuses[?(@.name=="main")].restartCount`); count != "1" {
			return fmt.Errorf("restart count %s", count)
		}
		return nil
	})
	n.ready("flips")
	if out := n.podctl("get", "events"); !strings.Contains(out, "Liveness probe failed") || !strings.Contains(out, "failed liveness probe, will be restarted") {
		t.Errorf("events:\n%s", out)
	}
}

func TestCrashLoopBacksOff(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("crash", "echo attempt; exit 1"))
	n.eventually(20*time.Second, "it backs off", func() error {
		if out := n.podctl("get", "pod", "crash"); !strings.Contains(out, "CrashLoopBackOff") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if count := n.get("crash", ".status.containerStatuses[0].restartCount"); count != "1" {
		t.Errorf("restart count %s: the first crash is answered at once, the second after 10 s", count)
	}
	n.logs("attempt", "crash", "--previous")
}

func TestStopIsGraceful(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("polite", "trap 'echo bye > /out/word; exit 0' TERM; echo up; while true; do sleep 0.1; done", "volumes: [{name: out, hostPath: {path: "+n.path("out")+", type: DirectoryOrCreate}}]") +
		"    volumeMounts: [{name: out, mountPath: /out}]\n")
	n.logs("up", "polite")
	n.podctl("delete", "pod", "polite", "--grace-period=20")
	if word, err := os.ReadFile(n.path("out/word")); err != nil || string(word) != "bye\n" {
		t.Errorf("it was not asked to end: %q, %v", word, err)
	}
	n.apply(shell("stubborn", "trap '' TERM; echo up; while true; do sleep 0.1; done"))
	n.logs("up", "stubborn")
	began := time.Now()
	n.podctl("delete", "pod", "stubborn", "--grace-period=3")
	if took := time.Since(began); took < 3*time.Second || took > 10*time.Second {
		t.Errorf("it took %s to end with a grace period of 3 s", took)
	}
}

func TestExecAndFollow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("ticks", "i=0; while [ $i -lt 8 ]; do echo tick $i; i=$((i+1)); sleep 0.3; done", "restartPolicy: Never"))
	n.ready("ticks")
	if out, err := n.try("exec", "ticks", "--", "sh", "-c", "echo out; echo err >&2; exit 7"); err == nil || !strings.Contains(out, "out\n") || !strings.Contains(out, "err\n") || !strings.Contains(err.Error(), "7") {
		t.Errorf("exec: %v\n%s", err, out)
	}
	if out, err := n.tryInput("some\ninput\n", "exec", "-i", "ticks", "--", "wc", "-l"); err != nil || strings.TrimSpace(out) != "2" {
		t.Errorf("exec -i: %v %q", err, out)
	}
	if out, err := n.try("exec", "ticks", "--", "no-such-program"); err == nil || !strings.Contains(out, "no-such-program") {
		t.Errorf("exec of nothing: %v\n%s", err, out)
	}
	out := n.podctl("logs", "-f", "ticks")
	for i := range 8 {
		if strings.Count(out, fmt.Sprintf("tick %d\n", i)) != 1 {
			t.Errorf("line %d is not there just once:\n%s", i, out)
		}
	}
	if tail := n.podctl("logs", "ticks", "--tail=2"); tail != "tick 6\ntick 7\n" {
		t.Errorf("tail: %q", tail)
	}
}

func TestSharedNamespaces(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("shared", "sleep 1000", "shareProcessNamespace: true", "hostname: chosen") + `
  - name: other
    image: busybox:1.36
    command: ["sh", "-c", "sleep 0.5; hostname; ps; sleep 1000"]
`)
	n.ready("shared")
	if log := n.logs("sleep 1000", "shared", "-c", "other"); !strings.Contains(log, "/pause") || !strings.Contains(log, "chosen") {
		t.Errorf("not shared:\n%s", log)
	}
	n.apply(shell("onhost", "hostname; ip -o addr; sleep 1000", "hostNetwork: true"))
	n.ready("onhost")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if log := n.logs(hostAddress(t), "onhost"); !strings.Contains(log, host) {
		t.Errorf("not on the host's network:\n%s", log)
	}
}

func TestMetricsAndHealth(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("counted", "sleep 1000"))
	n.ready("counted")
	has(t, fetch(t, "http://"+n.metrics+"/metrics"), `podd_pods{phase="Running"} 1`, "podd_build_info{",
		`podd_container_restarts_total{container="main",namespace="default",pod="counted",reason="Error"} 0`,
		`podd_action_duration_seconds_count{kind="CreateContainer"} 1`)
	for _, path := range []string{"/healthz", "/readyz"} {
		if body := strings.TrimSpace(fetch(t, "http://"+n.metrics+path)); body != "ok" {
			t.Errorf("%s says %q", path, body)
		}
	}
}

func TestTwentyPodsAtOnce(t *testing.T) {
	n := newNode(t)
	var all strings.Builder
	for i := range 20 {
		all.WriteString(shell(fmt.Sprintf("p%d", i), "sleep 1000") + "---\n")
	}
	began := time.Now()
	n.apply(all.String())
	n.podctl("wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s")
	t.Logf("20 pods were ready after %s", time.Since(began).Round(time.Millisecond))
}

// TestDeadline: a pod that is active for too long is ended, and Failed with a
// kubelet's reason.
func TestDeadline(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(`
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  activeDeadlineSeconds: 3
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "busybox:1.36", command: [sleep, "1000"]}
`)
	n.ready("late")
	n.phase("late", "Failed")
	if got := n.get("late", ".status.reason") + ": " + n.get("late", ".status.message"); got != "DeadlineExceeded: Pod was active on the node longer than the specified deadline" {
		t.Errorf("status %s", got)
	}
	if events := n.podctl("events", "--for", "pod/late"); !strings.Contains(events, "DeadlineExceeded") {
		t.Errorf("events:\n%s", events)
	}
}

const sidecarPod = `
apiVersion: v1
kind: Pod
metadata: {name: job}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: helper
    image: busybox:1.36
    restartPolicy: Always
    command: [sh, -c, "trap 'echo ended >> /shared/order; exit 0' TERM; echo helper >> /shared/order; [ -e /shared/twice ] || { touch /shared/twice; exit 1; }; touch /shared/up; while :; do sleep 0.1; done"]
    startupProbe: {exec: {command: [test, -e, /shared/up]}, periodSeconds: 1, failureThreshold: 30}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: prepare
    image: busybox:1.36
    command: [sh, -c, "echo prepare >> /shared/order"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: work
    image: busybox:1.36
    command: [sh, -c, "echo work >> /shared/order; until [ -e /shared/go ]; do sleep 0.1; done; cat /shared/order"]
    volumeMounts: [{name: shared, mountPath: /shared}]
`

// TestSidecars: one starts before the init containers after it, is restarted
// although the pod's policy is Never, and ends after the app containers, whose
// end is the pod's.
func TestSidecars(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(sidecarPod)
	n.eventually(20*time.Second, "the sidecar crashes", func() error {
		if got := n.get("job", ".status.initContainerStatuses[0].restartCount"); got != "1" {
			return fmt.Errorf("restart count %q", got)
		}
		return nil
	})
	n.blink()
	n.phase("job", "Running")
	n.eventually(20*time.Second, "the app container runs", func() error {
		if got := n.get("job", ".status.containerStatuses[0].state.running.startedAt"); got == "" {
			return errors.New("it does not")
		}
		return nil
	})
	if got := n.get("job", ".status.initContainerStatuses[0].restartCount"); got != "1" {
		t.Errorf("the sidecar was restarted %s times", got)
	}
	n.podctl("exec", "job", "-c", "work", "--", "touch", "/shared/go")
	n.blink() // while the sidecar ends
	n.phase("job", "Succeeded")
	if got := n.podctl("logs", "job", "-c", "work"); got != "helper\nhelper\nprepare\nwork\n" {
		t.Errorf("order:\n%s", got)
	}
	if got := n.get("job", ".status.initContainerStatuses[0].state.terminated.exitCode"); got != "0" {
		t.Errorf("the sidecar ended with %q", got)
	}
}
