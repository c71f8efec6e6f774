package integration_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podd-io/podd/integration/archive"
)

// bare is a pod without a shell: its image holds one program.
const bare = `
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "bare:1", command: [/httpd, -f, -p, "8080", -h, /srv]}
`

// importBare gives the node the image of bare.
func (n *node) importBare() {
	n.t.Helper()
	var image archive.Image
	if err := image.Program("/httpd", "/bin/busybox"); err != nil {
		n.t.Fatal(err)
	}
	image.Files["/srv/index.html"] = archive.File{Data: []byte("served\n"), Mode: 0o644}
	path := n.path("bare.tar")
	f, err := os.Create(path)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := errors.Join(image.Write(f, "docker.io/library/bare:1"), f.Close()); err != nil {
		n.t.Fatal(err)
	}
	n.podctl("images", "import", path)
}

// debuggerState is a path into the state of one of a pod's ephemeral containers.
func debuggerState(name, path string) string {
	return fmt.Sprintf(`.status.ephemeralContainerStatuses[?(@.name=="%s")]%s`, name, path)
}

// debuggerPID waits until one runs, and gives its pid.
func (n *node) debuggerPID(pod, name string) int {
	n.t.Helper()
	n.eventually(20*time.Second, name+" runs", func() error {
		if n.get(pod, debuggerState(name, ".state.running.startedAt")) == "" {
			return errors.New(n.get(pod, debuggerState(name, ".state")))
		}
		return nil
	})
	id := strings.TrimPrefix(n.get(pod, debuggerState(name, ".containerID")), "containerd://")
	return n.initPID(n.taskDir(id))
}

// TestDebug looks into a pod that has no shell.
func TestDebug(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.importBare()
	n.apply(fmt.Sprintf(bare, "web"))
	n.ready("web")
	const look = "ps -o comm; wget -qO- http://127.0.0.1:8080/"
	out, err := n.try("debug", "web", "-i", "--image=busybox:1.36", "--target=main", "--", "sh", "-c", look+"; sleep 1; exit 5")
	if exitCode(err) != 5 {
		t.Errorf("[%d] %s", exitCode(err), out)
	}
	name, _, _ := strings.Cut(out[strings.Index(out, "debugger-"):], ".")
	if got := n.podctl("logs", "web", "-c", name); !strings.Contains(got, "httpd") || !strings.Contains(got, "served") {
		t.Errorf("with the target:\n%s", got)
	}
	if got := n.get("web", debuggerState(name, ".state.terminated.exitCode")); got != "5" {
		t.Errorf("it ended with %q", got)
	}
	n.podctl("debug", "web", "--image=busybox:1.36", "-c", "apart", "--", "sh", "-c", look)
	if got := n.logs("served", "web", "-c", "apart"); strings.Contains(got, "httpd") {
		t.Errorf("without a target:\n%s", got)
	}
	if out, err := n.tryInput("echo got it; exit 7\n", "debug", "web", "-i", "-q", "--image=busybox:1.36", "-c", "typed", "--", "sh"); exitCode(err) != 7 || !strings.Contains(out, "got it") {
		t.Errorf("[%d] %s", exitCode(err), out)
	}
	if got := n.get("web", ".status.containerStatuses[0].restartCount"); got != "0" {
		t.Errorf("%s restarts of what was looked at", got)
	}
	if out := n.podctl("describe", "pod", "web"); !strings.Contains(out, "Ephemeral Containers:\n") || !strings.Contains(out, "typed:") {
		t.Error(out)
	}
}

// TestADebuggerOutlivesPodd: it runs on when podd is killed, and ends with its
// pod.
func TestADebuggerOutlivesPodd(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.importBare()
	n.apply(fmt.Sprintf(bare, "web"))
	n.ready("web")
	n.podctl("debug", "web", "--image=busybox:1.36", "-c", "stays", "--", "sh", "-c", "while :; do sleep 0.1; done")
	pid := n.debuggerPID("web", "stays")
	n.kill()
	n.start()
	if now := n.debuggerPID("web", "stays"); now != pid {
		t.Errorf("it was %d and is %d", pid, now)
	}
	if out := n.podctl("exec", "web", "-c", "stays", "--", "echo", "here"); out != "here\n" {
		t.Error(out)
	}
	n.podctl("delete", "pod", "web")
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it lives on: %v", err)
	}
}

// TestADebuggerEndsWithItsTarget: the kernel ends it, and it stays ended.
func TestADebuggerEndsWithItsTarget(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.importBare()
	n.apply(fmt.Sprintf(bare, "web"))
	n.ready("web")
	n.podctl("debug", "web", "--image=busybox:1.36", "-c", "beside", "--target=main", "--", "sleep", "1000")
	pid := n.debuggerPID("web", "beside")
	target, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", n.pid("web", "main")))
	if own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil || own != target {
		t.Errorf("it is in %s and its target in %s: %v", own, target, err)
	}
	if err := syscall.Kill(n.pid("web", "main"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.eventually(20*time.Second, "the target is restarted and the debugger is not", func() error {
		got := n.get("web", ".status.containerStatuses[0].restartCount") + " " + n.get("web", debuggerState("beside", ".state.terminated.exitCode"))
		if got != "1 137" {
			return errors.New(got)
		}
		return nil
	})
	n.podctl("debug", "web", "--image=busybox:1.36", "-c", "again", "--target=main", "--", "sleep", "1000")
	n.debuggerPID("web", "again")
}

// TestDebugOfAManifestsPodAndOfAJob: the file that a pod comes from has no say
// in it, and a job's end is the debugger's.
func TestDebugOfAManifestsPodAndOfAJob(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if err := errors.Join(os.MkdirAll(n.path("manifests"), 0o755),
		os.WriteFile(n.path("manifests", "static.yaml"), []byte(shell("static", "exec sleep 1000")), 0o644)); err != nil {
		t.Fatal(err)
	}
	n.eventually(20*time.Second, "the manifest is applied", func() error { _, err := n.try("get", "pod", "static"); return err })
	n.ready("static")
	n.podctl("debug", "static", "--image=busybox:1.36", "-c", "stays", "--", "sleep", "1000")
	pid := n.debuggerPID("static", "stays")
	n.stop()
	n.start() // the manifest is read again
	if now := n.debuggerPID("static", "stays"); now != pid {
		t.Errorf("it was %d and is %d", pid, now)
	}

	n.apply(shell("job", "while [ ! -e /tmp/go ]; do sleep 0.1; done", "restartPolicy: Never"))
	n.ready("job")
	n.podctl("debug", "job", "--image=busybox:1.36", "-c", "stays", "--", "sleep", "1000")
	n.debuggerPID("job", "stays")
	n.podctl("exec", "job", "--", "touch", "/tmp/go")
	n.phase("job", "Succeeded")
	if got := n.get("job", debuggerState("stays", ".state.terminated.reason")); got != "Error" { // TERM or KILL
		t.Errorf("it ended as %q", got)
	}
}

// TestDebugCopy: the copy of a pod that crashes has a shell to look around with.
func TestDebugCopy(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("crash", "exit 1"))
	out, err := n.tryInput("echo in the copy; exit 3\n", "debug", "crash", "-i", "-q", "--copy-to=look", "-c", "main", "--", "sh")
	if exitCode(err) != 3 || !strings.Contains(out, "in the copy") {
		t.Errorf("[%d] %s", exitCode(err), out)
	}
	n.podctl("debug", "crash", "--copy-to=other", "--set-image=main=nginx:latest", "--image=busybox:1.36", "--replace", "-c", "shell", "--", "sleep", "1000")
	if _, err := n.try("wait", "--for=delete", "pod/crash", "--timeout=30s"); err != nil {
		t.Errorf("the original is not replaced: %v", err)
	}
	if got := n.get("other", ".spec.containers[*].image"); got != "nginx:latest busybox:1.36" {
		t.Error(got)
	}
}
