package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const hooked = `
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 20
  volumes: [{name: shared, hostPath: {path: %[1]q}}]
  containers:
  - name: first
    image: busybox:1.36
    command: [sh, -c, "trap 'echo first TERM >> /shared/order; exit 0' TERM; while :; do sleep 0.1; done"]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "sleep 1; echo first started >> /shared/order"]}}
      preStop: {exec: {command: [sh, -c, "echo first stops >> /shared/order; sleep 1; echo first stopped >> /shared/order"]}}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: second
    image: busybox:1.36
    command: [sh, -c, "echo second begins >> /shared/order; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    lifecycle:
      preStop: {httpGet: {host: %[2]q, port: %[3]s, path: "/ends?who=second", httpHeaders: [{name: X-Pod, value: hooked}]}}
    volumeMounts: [{name: shared, mountPath: /shared}]
`

// TestHooks: postStart runs before the next container begins, preStop before
// TERM; a preStop hook that would outlast the grace period is given up.
func TestHooks(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	asked := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String() + " " + r.Header.Get("X-Pod")
		w.WriteHeader(http.StatusInternalServerError) // it does not matter
	})}
	go func() { _ = server.Serve(l) }() // until it is closed
	defer server.Close()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	shared := n.path("shared")
	if err := os.Mkdir(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	n.apply(fmt.Sprintf(hooked, shared, host, port))
	n.ready("hooked")
	n.podctl("delete", "pod", "hooked")
	order, err := os.ReadFile(shared + "/order")
	if err != nil {
		t.Fatal(err)
	}
	if want := "first started\nsecond begins\nfirst stops\nfirst stopped\nfirst TERM\n"; string(order) != want {
		t.Errorf("order:\n%s", order)
	}
	select {
	case got := <-asked:
		if got != "/ends?who=second hooked" {
			t.Errorf("asked for %s", got)
		}
	default:
		t.Error("nobody asked")
	}

	n.apply(`
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  terminationGracePeriodSeconds: 2
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    lifecycle: {preStop: {exec: {command: [sleep, "1000"]}}}
`)
	n.ready("slow")
	began := time.Now()
	n.podctl("delete", "pod", "slow")
	if took := time.Since(began); took < 1900*time.Millisecond || took > 8*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

// TestPostStartFails: the container is ended and restarted.
func TestPostStartFails(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(`
apiVersion: v1
kind: Pod
metadata: {name: fails}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: shared, emptyDir: {}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, "1000"]
    lifecycle: {postStart: {exec: {command: [sh, -c, "[ -e /shared/again ] || { touch /shared/again; exit 3; }"]}}}
    volumeMounts: [{name: shared, mountPath: /shared}]
`)
	n.eventually(20*time.Second, "it is restarted", func() error {
		if got := n.get("fails", ".status.containerStatuses[0].restartCount"); got != "1" {
			return fmt.Errorf("%s restarts", got)
		}
		return nil
	})
	n.ready("fails")
	if events := n.podctl("events", "--for", "pod/fails"); !strings.Contains(events, "PostStartHook failed") {
		t.Errorf("events:\n%s", events)
	}
}

// TestKilledInTheMidstOfAHook: podd begins the hook anew, and ends the pod.
func TestKilledInTheMidstOfAHook(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	shared := n.path("shared")
	if err := os.Mkdir(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 30
  volumes: [{name: shared, hostPath: {path: %q}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "trap 'echo TERM >> /shared/order; exit 0' TERM; while :; do sleep 0.1; done"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo begins >> /shared/order; sleep 2; echo ends >> /shared/order"]}}}
    volumeMounts: [{name: shared, mountPath: /shared}]
`, shared))
	n.ready("hooked")
	n.podctl("delete", "pod", "hooked", "--wait=false")
	n.eventually(10*time.Second, "the hook has begun", func() error {
		_, err := os.Stat(shared + "/order")
		return err
	})
	n.kill()
	n.start()
	n.podctl("wait", "--for=delete", "pod/hooked", "--timeout=30s")
	order, err := os.ReadFile(shared + "/order")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(order); !strings.HasSuffix(got, "ends\nTERM\n") || strings.Count(got, "TERM") != 1 {
		t.Errorf("order:\n%s", got)
	}
}
