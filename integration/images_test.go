package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive/compression"

	"github.com/podd-io/podd/integration/archive"
)

// spoil overwrites every file below containerd's root that a pattern fits, as
// long as it was.
func (n *node) spoil(pattern string) {
	n.t.Helper()
	found, _ := filepath.Glob(n.path("lib", "containerd", pattern))
	if len(found) == 0 {
		n.t.Fatalf("there is no %s", pattern)
	}
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil {
			n.t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, info.Size()), info.Mode()); err != nil {
			n.t.Fatal(err)
		}
	}
}

// nodeEvents are the messages of a reason's events that are no pod's.
func (n *node) nodeEvents(reason string) string {
	n.t.Helper()
	return n.podctl("get", "events", "-o", fmt.Sprintf(`jsonpath={range .items[?(@.reason=="%s")]}{.message}{"\n"}{end}`, reason))
}

const once = `
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: "busybox:1.36", imagePullPolicy: Never, command: [sh, -c, "echo works"]}
`

// crash ends podd and its containerd as a power cut would, as far as that goes
// without one.
func (n *node) crash() {
	n.t.Helper()
	containerd := n.containerdPID()
	n.kill()
	if err := syscall.Kill(containerd, syscall.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
}

// TestDamagedImages: what is damaged on disk after an unclean stop is found,
// told, and mended before a container uses it.
func TestDamagedImages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if out := n.podctl("images", "verify"); strings.Count(out, "sound") < 3 || strings.Contains(out, "damaged") {
		t.Errorf("verify: %s", out)
	}
	n.crash()
	n.spoil("io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/bin/busybox")
	n.start()
	n.apply(fmt.Sprintf(once, "first"))
	n.phase("first", "Succeeded")
	n.eventually(20*time.Second, "all images are mended", func() error {
		out, err := n.try("images", "verify")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if got := n.nodeEvents("ImageDamaged"); !strings.Contains(got, "busybox:1.36") || !strings.Contains(got, "(repaired): layer") {
		t.Errorf("events:\n%s", got)
	}
	if strings.Contains(n.scrape(t), `podd_damaged_images_total{state="repaired"} 0`) {
		t.Error("no metric counts it")
	}

	// Podd was stopped in order: nobody looks, until asked.
	n.stop()
	n.spoil("io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/bin/busybox")
	n.start()
	out, err := n.try("images", "verify", "busybox:1.36")
	if err == nil || !strings.Contains(out, `image "docker.io/library/busybox:1.36" damaged`) || !strings.Contains(out, "1 image is damaged") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out := n.podctl("images", "verify", "--repair"); !strings.Contains(out, "repaired") {
		t.Errorf("verify --repair: %s", out)
	}
	n.podctl("images", "verify")
}

// TestLostImages: an image whose content is damaged counts as absent until it
// comes again; podd's own pause image comes by itself.
func TestLostImages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(fmt.Sprintf(once, "first"))
	n.phase("first", "Succeeded")
	n.crash()
	n.spoil("io.containerd.content.v1.content/blobs/sha256/*")
	n.start()
	n.eventually(20*time.Second, "all images were looked at", func() error {
		if got := n.nodeEvents("ImageDamaged"); strings.Count(got, "(lost)") < 3 {
			return fmt.Errorf("events: %s", got)
		}
		return nil
	})
	n.apply(fmt.Sprintf(once, "second"))
	n.eventually(20*time.Second, "the pod waits for its image", func() error {
		if got := n.get("second", ".status.containerStatuses[0].state.waiting.reason"); got != "ErrImageNeverPull" {
			return fmt.Errorf("reason %q", got)
		}
		return nil
	})
	for _, image := range images(t) {
		n.podctl("images", "import", image)
	}
	n.phase("second", "Succeeded")
	n.logs("works", "second")
	n.podctl("images", "verify")
}

// TestGarbageCollection: with thresholds that any disk is above, whatever
// nobody needs goes; what is imported, or a pod's, stays; so do logs of pods
// that run.
func TestGarbageCollection(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	n := newNode(t, "--image-gc-high-threshold=1", "--image-gc-low-threshold=0", "--image-minimum-gc-age=2s")
	used, spare := l.push("used:v1"), l.push("spare:v1")
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  containers:
  - {name: main, image: "%s", command: [sleep, "1000"]}
---
`, used) + fmt.Sprintf(once, "done"))
	n.ready("user")
	n.phase("done", "Succeeded")
	n.podctl("images", "pull", spare)
	n.eventually(20*time.Second, "the logs of the finished pod are gone", func() error {
		if left, _ := filepath.Glob(n.path("log", "default_done_*")); len(left) > 0 {
			return fmt.Errorf("there is %s", left)
		}
		return nil
	})
	time.Sleep(3 * time.Second) // the spare image becomes old enough
	other := l.push("other:v1")
	n.podctl("images", "pull", other) // podd looks at its disk after each
	n.eventually(20*time.Second, "the spare image is gone", func() error {
		if out := n.podctl("images", "ls"); strings.Contains(out, "spare") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	out := n.podctl("images", "ls")
	for _, stays := range []string{"used", "busybox", "nginx", "podd.io/pause"} {
		if !strings.Contains(out, stays) {
			t.Errorf("%s is gone:\n%s", stays, out)
		}
	}
	if got := n.nodeEvents("ImageGarbageCollected"); !strings.Contains(got, "spare:v1") || !strings.Contains(got, "nothing needed it") {
		t.Errorf("events:\n%s", got)
	}
	for _, series := range []string{`podd_garbage_collected_total{reason="space",what="image"}`, `podd_garbage_collected_total{reason="space",what="log"}`, `kubelet_image_garbage_collected_total{reason="space"}`} {
		if body := n.scrape(t); !strings.Contains(body, series) || strings.Contains(body, series+" 0") {
			t.Errorf("%s does not count", series)
		}
	}
	if left, _ := filepath.Glob(n.path("log", "default_user_*")); len(left) != 1 {
		t.Errorf("logs of the running pod: %s", left)
	}
	if out, err := n.try("images", "rm", used); err == nil || !strings.Contains(out, "pod default/user needs image") {
		t.Errorf("rm: %v %s", err, out)
	}
	if out := n.podctl("images", "prune", "--dry-run"); strings.Contains(out, used) {
		t.Errorf("prune would remove %s", out)
	}
	n.podctl("images", "rm", "--force", used)
}

// TestDeadContainersGo: nothing of an ended container stays but its log and
// what the status says of it.
func TestDeadContainersGo(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(fmt.Sprintf(once, "done"))
	n.phase("done", "Succeeded")
	n.eventually(20*time.Second, "its container and sandbox are gone", func() error {
		if left := n.leftInContainerd(); len(left) > 0 {
			return fmt.Errorf("there is %s", left)
		}
		return nil
	})
	n.logs("works", "done")
}

// TestOfflineImages: archives under the root are loaded at the start and when
// they come, before a pod's image is looked for elsewhere, and are never
// collected.
func TestOfflineImages(t *testing.T) {
	t.Parallel()
	n := newNode(t, "--image-gc-high-threshold=1", "--image-gc-low-threshold=0", "--image-minimum-gc-age=1s")
	n.stop()
	n.archive("first.tar", "offline.example/first:v1", nil)
	n.archive("second.tar.zst", "offline.example/second:v1", zstd)
	if err := os.WriteFile(n.path("lib", "images", "broken.tar"), []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.start()
	for _, name := range []string{"first", "second"} {
		n.apply(fmt.Sprintf(offlinePod, name, name))
		n.ready(name)
		if events := n.podctl("events", "--for", "pod/"+name); strings.Contains(events, "Failed") {
			t.Errorf("podd looked for the image elsewhere:\n%s", events)
		}
	}
	if got := n.nodeEvents("OfflineImagesFailed"); !strings.Contains(got, "broken.tar") {
		t.Errorf("events: %s", got)
	}
	n.apply(fmt.Sprintf(offlinePod, "third", "third"))
	n.archive("third.tar", "offline.example/third:v1", nil)
	n.ready("third")

	n.podctl("delete", "pod", "first", "second", "third", "--now")
	n.crash()
	n.spoil("io.containerd.content.v1.content/blobs/sha256/*")
	n.start()
	n.apply(fmt.Sprintf(offlinePod, "first", "first"))
	n.ready("first") // from the archive, again
	n.eventually(20*time.Second, "the other archives are loaded again", func() error {
		out := n.podctl("images", "ls")
		for _, name := range []string{"second", "third"} {
			if !strings.Contains(out, "offline.example/"+name) {
				return fmt.Errorf("images:\n%s", out)
			}
		}
		_, err := n.try("images", "verify", "offline.example/second:v1", "offline.example/third:v1")
		return err
	})

	if err := os.Remove(n.path("lib", "images", "second.tar.zst")); err != nil {
		t.Fatal(err)
	}
	n.eventually(40*time.Second, "what was unloaded is collected", func() error {
		if out := n.podctl("images", "ls"); strings.Contains(out, "offline.example/second") {
			return fmt.Errorf("images:\n%s", out)
		}
		return nil
	})
	if out := n.podctl("images", "ls"); !strings.Contains(out, "offline.example/third") {
		t.Errorf("an offline image is gone:\n%s", out)
	}
}

const offlinePod = `
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  containers:
  - {name: main, image: "offline.example/%s:v1", command: [sleep, "1000"]}
`

// archive puts an archive of one image into the offline directory, as a copy
// does: it grows where it will be.
func (n *node) archive(file, image string, compress func(io.Writer) (io.WriteCloser, error)) {
	n.t.Helper()
	box, err := archive.Busybox("/bin/busybox")
	if err != nil {
		n.t.Fatal(err)
	}
	box.Files["/etc/name"] = archive.File{Data: []byte(image), Mode: 0o644}
	if err := os.MkdirAll(n.path("lib", "images"), 0o755); err != nil {
		n.t.Fatal(err)
	}
	f, err := os.Create(n.path("lib", "images", file))
	if err != nil {
		n.t.Fatal(err)
	}
	var w io.WriteCloser = f
	if compress != nil {
		if w, err = compress(f); err != nil {
			n.t.Fatal(err)
		}
		defer f.Close()
	}
	if err := errors.Join(box.Write(w, image), w.Close()); err != nil {
		n.t.Fatal(err)
	}
}

func zstd(w io.Writer) (io.WriteCloser, error) {
	return compression.CompressStream(w, compression.Zstd)
}

// TestDamagedStore: podd comes back by itself when a power cut has spoiled
// containerd's database, with the images of the offline directory.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.archive("first.tar", "offline.example/first:v1", nil)
	n.apply(fmt.Sprintf(offlinePod, "first", "first"))
	n.ready("first")
	n.podctl("delete", "pod", "first", "--now")
	n.crash()
	n.spoil("io.containerd.metadata.v1.bolt/meta.db")
	n.start()
	n.apply(fmt.Sprintf(offlinePod, "second", "first"))
	n.ready("second")
	if got := n.nodeEvents("StoreDamaged"); !strings.Contains(got, "set aside as") {
		t.Errorf("events: %s", got)
	}
}

// nothingUnderWay waits until containerd has nothing left of imports and pulls.
func (n *node) nothingUnderWay(namespace string) {
	n.t.Helper()
	n.eventually(30*time.Second, "nothing is left of what was under way", func() error {
		for _, args := range [][]string{{"content", "active"}, {"leases", "ls", "-q"}} {
			out, err := exec.Command(bin(n.t, "bundle/ctr"), append([]string{"-a", n.containerdSocket(), "-n", namespace}, args...)...).Output()
			if err != nil {
				return err
			}
			if left := strings.TrimSpace(strings.TrimPrefix(string(out), "REF\tSIZE\tAGE")); left != "" {
				return fmt.Errorf("ctr %s: %s", args, left)
			}
		}
		return nil
	})
}

// TestKilledWhileImagesCome: whenever podd and containerd are killed, what was
// promised is there and sound, and of the rest nothing is left.
func TestKilledWhileImagesCome(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	n := newNode(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kept := []string{"docker.io/library/busybox:1.36"}
	for i := range 6 {
		imported, pulled := fmt.Sprintf("imported.example/bulky:%d", i), l.pushImage(fmt.Sprintf("bulky:%d", i), bulky(t, seed+uint64(2*i)))
		var archive bytes.Buffer
		if err := bulky(t, seed+uint64(2*i+1)).Write(&archive, imported); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var coming sync.WaitGroup
		comes := func(name string, bring func() error) {
			coming.Go(func() {
				if bring() == nil {
					mu.Lock()
					kept = append(kept, name)
					mu.Unlock()
				}
			})
		}
		comes(imported, func() error {
			_, err := n.tryInput(archive.String(), "images", "import", "-")
			return err
		})
		comes(pulled, func() error {
			_, err := n.try("images", "pull", pulled)
			return err
		})
		time.Sleep(time.Duration(random.IntN(800)) * time.Millisecond)
		if i%3 == 2 {
			n.kill()
		} else {
			n.crash()
		}
		coming.Wait()
		n.start()
		out := n.podctl("images", "verify")
		for _, name := range kept {
			if !strings.Contains(out, fmt.Sprintf("image %q sound", name)) {
				t.Errorf("image %s is not there, or not sound:\n%s", name, out)
			}
		}
		n.nothingUnderWay(n.namespace())
	}
	t.Logf("%d images are kept", len(kept))
}
