package integration_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/podd-io/podd/integration/archive"
)

// node is one podd with everything of its own: root, run directory, containerd
// namespace, network, ports. It is ended, and checked for leaks, with its test.
type node struct {
	t       *testing.T
	dir     string
	id      int
	metrics string
	cmd     *exec.Cmd
	log     *os.File
	extra   []string
	// slice is the parent of the pods' cgroups where they are systemd's; empty
	// where podd makes them.
	slice string
	// other is a containerd that is not podd's; nil if podd keeps its own.
	other *containerd
}

// nodes numbers them, so that no two share a network.
var nodes atomic.Int32

// bin are the built programs; make integration builds them before.
func bin(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build bundle`", err)
	}
	return path
}

// newNode starts a podd with the test images, on the containerd that the suite
// is run for. Tests that need no node of their own kind run side by side.
func newNode(t *testing.T, flags ...string) *node {
	t.Helper()
	return newNodeOn(t, *containerdDir, flags...)
}

// newNodeOn starts a podd on a containerd from a directory of programs; without
// one podd keeps its own.
func newNodeOn(t *testing.T, programs string, flags ...string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "podd-it") // sockets have to be under 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir, id: int(nodes.Add(1)), metrics: fmt.Sprintf("127.0.0.1:%d", freePort(t)), extra: flags}
	if n.log, err = os.Create(filepath.Join(dir, "podd.log")); err != nil {
		t.Fatal(err)
	}
	if programs != "" {
		n.other = newContainerd(t, programs, n.path("cd"))
		n.other.start()
	}
	t.Cleanup(n.end)
	n.start()
	for _, image := range images(t) {
		n.podctl("images", "import", image)
	}
	return n
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir}, parts...)...)
}

func (n *node) address() string { return "unix://" + n.path("podd.sock") }

func (n *node) namespace() string { return fmt.Sprintf("podd-it-%d-%d", os.Getpid(), n.id) }

func (n *node) cgroupRoot() string {
	if n.slice != "" {
		return n.slice
	}
	return "/" + n.namespace()
}

// start starts podd and waits until it can work.
func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command(bin(n.t, "podd"), n.flags()...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.answers()
}

// flags are podd's.
func (n *node) flags() []string {
	return append([]string{
		"--root", n.path("lib"), "--run-dir", n.path("run"), "--listen", n.address(),
		"--manifests", n.path("manifests"), "--log-dir", n.path("log"), "--metrics-listen", n.metrics,
		"--containerd", n.containerd(), "--containerd-namespace", n.namespace(), "--cgroup-root", n.cgroupRoot(),
		"--pod-cidr", fmt.Sprintf("10.%d.%d.0/24", 64+os.Getpid()%64, n.id%250), "--cni-conf-dir", n.path("cni"),
		"--node-name", "test-node",
	}, n.extra...)
}

// answers waits until podd can work.
func (n *node) answers() {
	n.t.Helper()
	n.eventually(30*time.Second, "podd answers", func() error {
		_, err := n.try("version")
		return err
	})
}

// kill ends podd as a crash would.
func (n *node) kill() {
	n.t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	_ = n.cmd.Wait() // it was killed
}

// stop ends podd in good order.
func (n *node) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			n.t.Errorf("podd ended with %v", err)
		}
	case <-time.After(60 * time.Second):
		n.t.Errorf("podd did not stop within a minute")
		_ = n.cmd.Process.Kill() // reported already
		<-done
	}
}

// end removes all pods, stops podd, and looks for what is left.
func (n *node) end() {
	seen := n.traces()
	n.deleteAll()
	left := n.leftInContainerd()
	n.stop()
	if n.other != nil {
		n.other.end()
	}
	for _, what := range append(left, n.leftOnHost(seen)...) {
		n.t.Errorf("leak: %s", what)
	}
	n.log.Close()
	if n.t.Failed() {
		text, _ := os.ReadFile(n.path("podd.log"))
		n.t.Logf("podd's log:\n%s", text)
		if n.other != nil {
			text, _ := os.ReadFile(n.other.logFile())
			n.t.Logf("containerd's log:\n%s", text)
		}
	}
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Errorf("remove the test's files: %v", err)
	}
}

// deleteAll removes all pods. Those of manifests go with their files.
func (n *node) deleteAll() {
	if err := os.RemoveAll(n.path("manifests")); err != nil {
		n.t.Error(err)
	}
	for tries := 0; ; tries++ {
		out, err := n.try("delete", "pods", "--all", "-A", "--grace-period=0", "--force", "--timeout=60s")
		if err == nil {
			return
		}
		if tries == 100 || !strings.Contains(out+err.Error(), n.path("manifests")) {
			n.t.Errorf("delete all pods: %v\n%s", err, out)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// try runs podctl.
func (n *node) try(args ...string) (string, error) { return n.tryInput("", args...) }

func (n *node) tryInput(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute*slowness)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin(n.t, "podctl"), append([]string{"--address", n.address()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// podctl runs podctl, which has to succeed.
func (n *node) podctl(args ...string) string {
	n.t.Helper()
	out, err := n.try(args...)
	if err != nil {
		n.t.Fatalf("podctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// apply applies a manifest.
func (n *node) apply(manifest string) string {
	n.t.Helper()
	out, err := n.tryInput(manifest, "apply", "-f", "-")
	if err != nil {
		n.t.Fatalf("podctl apply: %v\n%s", err, out)
	}
	return out
}

// refuse applies a manifest that has to be refused, and gives the words.
func (n *node) refuse(manifest string) string {
	n.t.Helper()
	out, err := n.tryInput(manifest, "apply", "-f", "-")
	if err == nil {
		n.t.Fatalf("it was accepted:\n%s", out)
	}
	return out
}

// get reads one value of a pod by JSONPath.
func (n *node) get(pod, path string) string {
	n.t.Helper()
	return n.podctl("get", "pod", pod, "-o", "jsonpath={"+path+"}")
}

func (n *node) ready(pod string) {
	n.t.Helper()
	if out, err := n.try("wait", "--for=condition=Ready", "pod/"+pod, fmt.Sprint("--timeout=", time.Minute*slowness)); err != nil {
		n.t.Fatalf("pod %s is not ready: %v\n%s\n%s", pod, err, out, n.podctl("describe", "pod", pod))
	}
}

// phase waits for a pod's phase.
func (n *node) phase(pod, phase string) {
	n.t.Helper()
	if out, err := n.try("wait", "--for=jsonpath={.status.phase}="+phase, "pod/"+pod, fmt.Sprint("--timeout=", time.Minute*slowness)); err != nil {
		n.t.Fatalf("pod %s is not %s: %v\n%s\n%s", pod, phase, err, out, n.podctl("describe", "pod", pod))
	}
}

// logs waits until a container's log holds the text, and gives the log.
func (n *node) logs(want string, args ...string) string {
	n.t.Helper()
	var out string
	n.eventually(20*time.Second, fmt.Sprintf("the log of %v has %q", args, want), func() error {
		var err error
		out, err = n.try(append([]string{"logs"}, args...)...)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("it has:\n%s", out)
		}
		return err
	})
	return out
}

// eventually asks again and again; what is outside of podd tells of no change.
func (n *node) eventually(within time.Duration, what string, ask func() error) {
	n.t.Helper()
	deadline := time.Now().Add(within * slowness)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("not within %s: %s: %v", within, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// pid is that of a container's first process, on the host.
func (n *node) pid(pod, container string) int {
	n.t.Helper()
	id := strings.TrimPrefix(n.get(pod, fmt.Sprintf(`.status.containerStatuses[?(@.name=="%s")].containerID`, container)), "containerd://")
	return n.initPID(n.taskDir(id))
}

func (n *node) taskDir(id string) string {
	return filepath.Join(n.containerdState(), "io.containerd.runtime.v2.task", n.namespace(), id)
}

func (n *node) initPID(taskDir string) int {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(taskDir, "init.pid"))
	if err != nil {
		n.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		n.t.Fatal(err)
	}
	return pid
}

// pausePID is that of the only pod's pause program.
func (n *node) pausePID() int {
	n.t.Helper()
	tasks, _ := filepath.Glob(n.taskDir("*"))
	for _, task := range tasks {
		pid := n.initPID(task)
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(name) == "pause\n" {
			return pid
		}
	}
	n.t.Fatal("no pause program runs")
	return 0
}

// containerdPID is that of the node's containerd.
func (n *node) containerdPID() int {
	n.t.Helper()
	for _, p := range n.processes() {
		if strings.HasPrefix(p.command, "containerd --config") {
			return p.pid
		}
	}
	n.t.Fatal("no containerd runs")
	return 0
}

type process struct {
	pid     int
	command string
}

// processes are all on the host whose command line names the node's directory
// or containerd namespace.
func (n *node) processes() []process {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var out []process
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		command := string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
		if !strings.Contains(command, n.dir) && !strings.Contains(command, n.namespace()+" ") {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		out = append(out, process{pid: pid, command: command})
	}
	return out
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// busyboxNames are all names under which the tests' manifests, and those of
// the Kubernetes documentation, ask for something like it.
var busyboxNames = []string{
	"busybox:1.36", "busybox:1.28", "busybox:latest", "docker.io/library/debian:latest", "docker.io/library/alpine:latest",
	"registry.k8s.io/busybox:latest", "registry.k8s.io/busybox:1.27.2", "registry.k8s.io/e2e-test-images/busybox:1.29-4",
}

// makeImages makes the test images once for all tests.
var makeImages = sync.OnceValues(func() ([]string, error) {
	dir, err := os.MkdirTemp("/tmp", "podd-it-images")
	if err != nil {
		return nil, err
	}
	imageDir = dir
	busybox, err := archive.Busybox("/bin/busybox")
	if err != nil {
		return nil, err
	}
	web, err := archive.Busybox("/bin/busybox")
	if err != nil {
		return nil, err
	}
	// Like nginx: it serves /usr/share/nginx/html on port 80.
	web.Files["/usr/share/nginx/html/index.html"] = archive.File{Data: []byte("Welcome to nginx!\n"), Mode: 0o644}
	web.Cmd = nil
	web.Entrypoint = []string{"/bin/sh", "-c", "trap 'exit 0' TERM; httpd -f -p 80 -h /usr/share/nginx/html & wait"}
	var paths []string
	for name, img := range map[string]struct {
		image archive.Image
		names []string
	}{
		"busybox.tar": {busybox, busyboxNames},
		"web.tar":     {web, []string{"nginx:latest", "nginx:1.14.2", "nginx:1.16.1"}},
	} {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		if err := img.image.Write(f, img.names...); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
})

var imageDir string

func images(t *testing.T) []string {
	t.Helper()
	paths, err := makeImages()
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if imageDir != "" {
		os.RemoveAll(imageDir)
	}
	os.Exit(code)
}
