//go:build vm

package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// The disk that survives power cuts, and what tells, on the console, that
// something was promised to be on it.
const (
	lastingDisk = "/dev/vdc"
	lasting     = "/data"
	promise     = "podd-test-vm: kept "
)

// lastingNode is a podd whose root is on a disk that survives power cuts.
func lastingNode(t *testing.T) *node {
	t.Helper()
	for _, dir := range []string{lasting, "/run/lasting"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mount", lastingDisk, lasting).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	n := &node{t: t, dir: lasting, id: int(nodes.Add(1)), metrics: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	// What is volatile is not on the disk.
	if err := os.Symlink("/run/lasting", n.path("run")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	n.extra = []string{"--run-dir", "/run/lasting", "--containerd-namespace", "lasting", "--cgroup-root", "/lasting"}
	var err error
	if n.log, err = os.Create(n.path("podd.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		text, _ := os.ReadFile(n.path("podd.log"))
		if t.Failed() {
			t.Logf("podd's log:\n%s", text)
		}
	})
	n.start()
	return n
}

// TestPowerCutWork imports and pulls images until the power is cut, and says on
// the console what is done.
func TestPowerCutWork(t *testing.T) {
	n := lastingNode(t)
	l := newLibrary(t)
	seed := uint64(time.Now().UnixNano())
	keep := func(names ...string) { fmt.Println("\n" + promise + strings.Join(names, " ")) }
	n.archive("offline.tar", "offline.example/first:v1", nil)
	if out, err := exec.Command("sync", n.path("lib", "images", "offline.tar")).CombinedOutput(); err != nil {
		t.Fatalf("sync: %v %s", err, out)
	}
	for _, path := range images(t) {
		n.podctl("images", "import", path)
	}
	keep("busybox:1.36", "nginx:1.14.2")
	var work sync.WaitGroup
	work.Go(func() {
		for i := seed; ; i += 2 {
			name := fmt.Sprintf("imported.example/bulky:%d", i)
			var out bytes.Buffer
			if err := bulky(t, i).Write(&out, name); err != nil {
				panic(err)
			}
			if _, err := n.tryInput(out.String(), "images", "import", "-"); err == nil {
				keep(name)
			}
		}
	})
	work.Go(func() {
		for i := seed + 1; ; i += 2 {
			ref := l.pushImage(fmt.Sprintf("bulky:%d", i), bulky(t, i))
			if _, err := n.try("images", "pull", ref); err == nil {
				keep(ref)
			}
		}
	})
	work.Wait()
}

// TestPowerCutCheck: after a power cut podd comes up by itself, what was
// promised is there and sound, and of what was under way nothing is left.
func TestPowerCutCheck(t *testing.T) {
	n := lastingNode(t)
	defer n.deleteAll()
	n.eventually(2*time.Minute, "all images were looked at", func() error {
		log, err := os.ReadFile(n.path("podd.log"))
		if err == nil && !bytes.Contains(log, []byte("all images were looked at")) {
			err = fmt.Errorf("podd's log does not say so")
		}
		return err
	})
	t.Logf("events:\n%s", n.podctl("get", "events"))
	out, err := n.try("images", "verify")
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	here := n.podctl("images", "ls")
	for _, name := range append(kept(t), "offline.example/first:v1") {
		full := name
		if !strings.Contains(name, "/") {
			full = "docker.io/library/" + name
		}
		if !strings.Contains(here, full+" ") || !strings.Contains(out, fmt.Sprintf("image %q sound", full)) {
			t.Errorf("image %s is not there, or not sound:\n%s\n%s", name, here, out)
		}
	}
	n.apply(fmt.Sprintf(once, "after") + "---" + fmt.Sprintf(offlinePod, "offline", "first"))
	n.phase("after", "Succeeded")
	n.ready("offline")
	n.nothingUnderWay("lasting")
}

// kept are the images that a cut machine had promised to keep.
func kept(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(text)) {
		if names, ok := strings.CutPrefix(field, "podd.kept="); ok && names != "" {
			return strings.Split(names, ",")
		}
	}
	t.Fatalf("nothing was promised: %s", text)
	return nil
}
