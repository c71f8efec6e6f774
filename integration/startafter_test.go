package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// waits is a set of two: web starts once db is ready and a path is there, and
// each writes down when it comes and goes.
const waits = `
apiVersion: v1
kind: Pod
metadata: {name: db}
spec:
  volumes: [{name: shared, hostPath: {path: %[1]q}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "sleep 1; echo db up >> /shared/order; touch /ready; trap 'echo db ends >> /shared/order; exit 0' TERM; while :; do sleep 0.1; done"]
    readinessProbe: {exec: {command: [test, -e, /ready]}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {podd.io/start-after: "pod/db=Ready, path%[1]s/go"}
spec:
  volumes: [{name: shared, hostPath: {path: %[1]q}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "echo web up >> /shared/order; trap 'sleep 1; echo web ends >> /shared/order; exit 0' TERM; while :; do sleep 0.1; done"]
    volumeMounts: [{name: shared, mountPath: /shared}]
`

// TestStartConditions: what waits starts as soon as it may, also if podd was
// killed meanwhile; what starts after another one ends before it.
func TestStartConditions(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	shared := n.path("shared")
	if err := os.Mkdir(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	set := fmt.Sprintf(waits, shared)
	n.apply(set)
	n.ready("db")
	const reason = ".status.containerStatuses[0].state.waiting.reason"
	n.eventually(10*time.Second, "web waits for the path alone", func() error {
		if out := n.podctl("describe", "pod", "web"); !strings.Contains(out, "Waiting for path"+shared+"/go (it is not there)") {
			return fmt.Errorf("it says:\n%s", out)
		}
		return nil
	})
	n.kill()
	n.start()
	if got := n.get("web", reason); got != "WaitingToStart" {
		t.Errorf("after podd was killed: %q", got)
	}
	if err := os.WriteFile(shared+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.ready("web")
	// podd is killed while the order of the end is under way.
	if out, err := n.tryInput(set, "delete", "-f", "-", "--wait=false"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n.kill()
	n.start()
	n.podctl("wait", "--for=delete", "pod/db", "--timeout=30s")
	order, err := os.ReadFile(shared + "/order")
	if err != nil {
		t.Fatal(err)
	}
	if want := "db up\nweb up\nweb ends\ndb ends\n"; string(order) != want {
		t.Errorf("order:\n%s", order)
	}
	out := n.refuse(strings.Replace(set, "metadata: {name: db}", "metadata: {name: db, annotations: {podd.io/start-after: \"pod/web=Started\"}}", 1))
	if !strings.Contains(out, "pods would wait for each other for ever: default/db -> default/web -> default/db") {
		t.Errorf("refused with: %s", out)
	}
}

// TestStartConditionsTimeOut: the pod fails, or starts all the same.
func TestStartConditionsTimeOut(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for name, then := range map[string]string{"fails": "fail", "starts": "start"} {
		n.apply(strings.Replace(shell(name, "sleep 1000"), "metadata: {name: "+name+"}",
			"metadata: {name: "+name+", annotations: {podd.io/start-after: \"device/none,pod/absent=Succeeded;timeout=2s;then="+then+"\"}}", 1))
	}
	n.phase("fails", "Failed")
	if got := n.get("fails", ".status.message"); got != "Waited 2s for device/dev/none (it is not there), pod/default/absent=Succeeded (there is no such pod)" {
		t.Errorf("message %q", got)
	}
	n.ready("starts")
}
