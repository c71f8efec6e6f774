package integration_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// containerdDir has the programs of a containerd that podd does not keep:
// `make compatibility` runs the core cases on several.
var containerdDir = flag.String("containerd", "", "directory of a containerd's programs to start beside podd; empty lets podd keep its own")

// containerd is one that is not podd's, with a root, state, socket and
// configuration of its own.
type containerd struct {
	t        *testing.T
	programs string
	// dir has its configuration and log, and all else of one that start starts.
	dir                 string
	root, state, socket string
	cmd                 *exec.Cmd
}

func newContainerd(t *testing.T, programs, dir string) *containerd {
	return &containerd{
		t: t, programs: programs, dir: dir,
		root: filepath.Join(dir, "root"), state: filepath.Join(dir, "state"), socket: filepath.Join(dir, "c.sock"),
	}
}

func (c *containerd) logFile() string { return filepath.Join(c.dir, "containerd.log") }

// configuration is of version 2, which every containerd since 1.3 reads.
func (c *containerd) configuration() string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = %q
`, c.root, c.state, c.socket)
}

// start starts it, and returns when it answers. It finds its own programs
// first, and runc in the bundle if it has none.
func (c *containerd) start() {
	c.t.Helper()
	programs, err := filepath.Abs(c.programs)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	config := filepath.Join(c.dir, "config.toml")
	if err := os.WriteFile(config, []byte(c.configuration()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	c.cmd = exec.Command(filepath.Join(programs, "containerd"), "--config", config)
	c.cmd.Args[0] = "containerd"
	c.cmd.Env = append(os.Environ(), "PATH="+programs+":"+filepath.Dir(bin(c.t, "bundle/runc"))+":"+os.Getenv("PATH"))
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatalf("%v: run `make containerds`", err)
	}
	c.answers()
}

func (c *containerd) answers() {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command(bin(c.t, "bundle/ctr"), "-a", c.socket, "version").CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(c.logFile())
			c.t.Fatalf("%s does not answer: %v\n%s\n%s", c.programs, err, out, text)
		}
	}
}

// kill ends it as a crash would; its shims live on.
func (c *containerd) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	_ = c.cmd.Wait() // it was killed
}

// signal stops it in its tracks with SIGSTOP, and lets it go on with SIGCONT.
func (c *containerd) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *containerd) end() {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Errorf("end containerd: %v", err)
	}
	_ = c.cmd.Wait() // it may end with any code
}

// containerd is what the node's podd is told to use.
func (n *node) containerd() string {
	if n.other == nil {
		return "managed"
	}
	return n.containerdSocket()
}

func (n *node) containerdSocket() string {
	if n.other == nil {
		return n.path("run/containerd/containerd.sock")
	}
	return n.other.socket
}

func (n *node) containerdState() string {
	if n.other == nil {
		return n.path("run/containerd/state")
	}
	return n.other.state
}

func (n *node) containerdRoot() string {
	if n.other == nil {
		return n.path("lib/containerd")
	}
	return n.other.root
}

func TestAnotherContainerdDies(t *testing.T) {
	t.Parallel()
	n := newNodeOn(t, otherContainerd(t))
	n.apply(counting)
	n.ready("counts")
	pid := n.pid("counts", "main")
	n.other.kill()
	n.eventually(10*time.Second, "podd says that it cannot work", func() error {
		if out, err := n.try("version"); err == nil {
			return fmt.Errorf("it can:\n%s", out)
		}
		return nil
	})
	if out := n.podctl("get", "pod", "counts"); !strings.Contains(out, "2/2") {
		t.Errorf("the pod runs on:\n%s", out)
	}
	n.apply(shell("meanwhile", "sleep 1000")) // is taken, and starts when it can
	n.other.start()
	n.ready("meanwhile")
	n.unharmed(pid)
	n.podctl("exec", "counts", "-c", "main", "--", "true")
	n.podctl("delete", "pod", "meanwhile")
}

func TestAnotherContainerdHangs(t *testing.T) {
	t.Parallel()
	n := newNodeOn(t, otherContainerd(t))
	n.apply(counting)
	n.apply(shell("probed", "sleep 1000") + "    livenessProbe: {exec: {command: [\"true\"]}, periodSeconds: 1, failureThreshold: 1}\n")
	n.ready("counts")
	n.ready("probed")
	pid := n.pid("counts", "main")
	n.other.signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = n.other.cmd.Process.Signal(syscall.SIGCONT) }) // wherever it fails
	began := time.Now()
	if out, err := n.try("version"); err == nil || !strings.Contains(out, "does not answer") {
		t.Errorf("podd says that it can work: %v\n%s", err, out)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took podd %s to find out", took)
	}
	for _, ask := range [][]string{{"get", "pods"}, {"get", "nodes"}, {"logs", "counts", "-c", "main"}, {"get", "events"}} {
		if out, err := n.try(ask...); err != nil {
			t.Errorf("podctl %v: %v\n%s", ask, err, out)
		}
	}
	n.apply(shell("meanwhile", "sleep 1000")) // is taken, and starts when it can
	time.Sleep(4 * time.Second)               // several probes do not come to an end
	n.other.signal(syscall.SIGCONT)
	n.ready("meanwhile")
	n.unharmed(pid)
	if count := n.get("probed", ".status.containerStatuses[0].restartCount"); count != "0" {
		t.Errorf("%s restarts: a probe that containerd held up says nothing of the container", count)
	}
}

// TestContainerdIsUpgraded: a host gets a newer one, under running pods.
func TestContainerdIsUpgraded(t *testing.T) {
	t.Parallel()
	n := newNodeOn(t, "../bin/containerd-debian")
	n.apply(counting)
	n.ready("counts")
	pid := n.pid("counts", "main")
	for i, programs := range []string{"../bin/containerd-1.7", "../bin/bundle"} {
		n.other.kill()
		n.other.programs = programs
		n.other.start()
		n.answers()
		n.unharmed(pid)
		n.podctl("exec", "counts", "-c", "main", "--", "true")
		name := fmt.Sprintf("on-%d", i)
		n.apply(shell(name, "sleep 1000"))
		n.ready(name)
	}
	n.podctl("delete", "pod", "on-0")
}

// otherContainerd is the one that the suite is run for, or the bundle's.
func otherContainerd(t *testing.T) string {
	if *containerdDir != "" {
		return *containerdDir
	}
	return filepath.Dir(bin(t, "bundle/containerd"))
}
