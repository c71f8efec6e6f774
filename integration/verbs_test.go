package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// exitCode is what a podctl ended with.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func TestEditDiffAndEvents(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(config("site", "one"))
	if out, err := n.tryInput(config("site", "one"), "diff", "-f", "-"); err != nil {
		t.Errorf("no difference: %v\n%s", err, out)
	}
	out, err := n.tryInput(config("site", "two")+"---\n"+config("fresh", "x"), "diff", "-f", "-")
	if exitCode(err) != 1 || !strings.Contains(out, "-  key: one\n+  key: two\n") || !strings.Contains(out, "+  key: x\n") {
		t.Errorf("[%d] %s", exitCode(err), out)
	}
	if out, err := n.tryInput("kind: [", "diff", "-f", "-"); exitCode(err) != 2 {
		t.Errorf("[%d] %s", exitCode(err), out)
	}
	edit := exec.Command(bin(t, "podctl"), "edit", "configmap", "site")
	edit.Env = append(os.Environ(), "PODD_ADDRESS="+n.address(), "KUBE_EDITOR=sed -i s/one/three/")
	if out, err := edit.CombinedOutput(); err != nil || string(out) != "configmap/site edited\n" {
		t.Errorf("%v: %s", err, out)
	}
	if got := n.podctl("get", "configmap", "site", "-o", "jsonpath={.data.key}"); got != "three" {
		t.Errorf("it is %s", got)
	}
	n.apply(shell("web", "exec sleep 1000"))
	n.ready("web")
	n.eventually(5*time.Second, "the events are there", func() error { // they are published after the state
		if out := n.podctl("events", "--for=pod/web", "--no-headers"); !strings.Contains(out, "Started") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if out := n.podctl("events", "--types=Warning"); strings.Contains(out, "Started") {
		t.Error(out)
	}
}

// TestWaitsAndWatchesOutliveARestartOfPodd.
func TestWaitsAndWatchesOutliveARestartOfPodd(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "while [ ! -e /tmp/go ]; do sleep 0.1; done", "restartPolicy: Never"))
	n.ready("web")
	begin := func(args ...string) (*exec.Cmd, *lockedBuffer) {
		cmd, out := exec.Command(bin(t, "podctl"), args...), &lockedBuffer{}
		cmd.Env = append(os.Environ(), "PODD_ADDRESS="+n.address())
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	watch, seen := begin("get", "pod", "web", "-w", "-o", "jsonpath={.status.phase}{'\\n'}")
	wait, said := begin("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/web", "--timeout=60s")
	n.eventually(10*time.Second, "the watch stands", func() error {
		if seen.String() != "Running\n" {
			return fmt.Errorf("%q", seen.String())
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond) // the wait stands too, or begins after the restart: either will do
	n.kill()
	n.start()
	n.podctl("exec", "web", "--", "touch", "/tmp/go")
	if err := wait.Wait(); err != nil || !strings.Contains(said.String(), "pod/web condition met") {
		t.Errorf("%v: %s", err, said.String())
	}
	n.eventually(10*time.Second, "the watch goes on", func() error {
		if got := seen.String(); !strings.HasPrefix(got, "Running\n") || !strings.HasSuffix(got, "Succeeded\n") {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	_ = watch.Process.Kill() // it goes on for ever
	_ = watch.Wait()
}

// TestStoredKinds, from end to end.
func TestStoredKinds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(`
apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: prod}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: crun}
handler: crun
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
`)
	for _, c := range []struct{ what, has string }{
		{"namespaces", "prod"}, {"pvc", "No resources found in default namespace."}, {"runtimeclasses", "crun"}, {"priorityclasses", "1000"},
	} {
		if out := n.podctl("get", c.what); !strings.Contains(out, c.has) {
			t.Errorf("%s: %s", c.what, out)
		}
	}
	if out := n.podctl("get", "pvc", "-n", "prod"); !strings.Contains(out, "Pending") {
		t.Error(out)
	}
	if out, err := n.try("delete", "namespace", "prod"); err == nil || !strings.Contains(out, "persistentvolumeclaim/data") {
		t.Errorf("%v: %s", err, out)
	}
	n.podctl("delete", "pvc", "data", "-n", "prod")
	n.podctl("delete", "namespace", "prod")
	n.podctl("delete", "runtimeclass", "crun")
	n.podctl("delete", "pc/high")
}
