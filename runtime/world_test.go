package runtime_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/integration/archive"
	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/testbed"
)

const busybox = "busybox:1.36"

// world is a test bed with an image, for one pod.
type world struct {
	*testbed.Bed
	t   *testing.T
	pod *corev1.Pod
	// env and change are for the next container.
	env    []string
	change func(*pod.ContainerConfig)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Bed: testbed.New(t), t: t}
	image, err := busyboxOnce()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Images.Import(t.Context(), bytes.NewReader(image), ""); err != nil {
		t.Fatal(err)
	}
	w.newPod("web")
	return w
}

// busyboxOnce is the image that most tests use.
var busyboxOnce = sync.OnceValues(func() ([]byte, error) { return makeBusybox(busybox) })

func makeBusybox(names ...string) ([]byte, error) {
	img, err := archive.Busybox("/bin/busybox")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = img.Write(&out, names...)
	return out.Bytes(), err
}

// busyboxArchive is a Docker archive.
func busyboxArchive(t *testing.T, names ...string) []byte {
	t.Helper()
	image, err := makeBusybox(names...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// newPod begins another pod; it is removed with the test.
func (w *world) newPod(name string) {
	w.pod = &corev1.Pod{}
	w.pod.Namespace, w.pod.Name = "default", name
	w.pod.UID = types.UID(pod.ID(types.UID(w.t.Name()), name, 0)[:32])
	w.t.Cleanup(func() {
		w.Forget(types.UID(pod.ID(types.UID(w.t.Name()), name, 0)[:32]))
		os.RemoveAll(w.Config.LogDir)
	})
}

// sandbox makes the pod's cgroup, volumes and sandbox.
func (w *world) sandbox() {
	w.t.Helper()
	ctx := w.t.Context()
	if err := w.Cgroups.Create(ctx, pod.CgroupConfig{UID: w.pod.UID}); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range w.pod.Spec.Volumes {
		if err := w.Volumes.Setup(ctx, pod.VolumeConfig{UID: w.pod.UID, Volume: v}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.Sandboxes.Create(ctx, pod.SandboxConfig{
		Pod: w.pod, ID: w.sandboxID(), Hostname: w.pod.Name, ResolvConf: "nameserver 192.0.2.1\n",
		HostNetwork: w.pod.Spec.HostNetwork, Seccomp: true,
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sandboxID() string { return pod.ID(w.pod.UID, pod.SandboxName, 0) }

// config is what the core would hand over for a container.
func (w *world) config(ctr corev1.Container) pod.ContainerConfig {
	if ctr.Name == "" {
		ctr.Name = "app"
	}
	if ctr.Image == "" {
		ctr.Image = busybox
	}
	if ctr.TerminationMessagePath == "" {
		ctr.TerminationMessagePath = "/dev/termination-log"
	}
	cfg := pod.ContainerConfig{
		Pod: w.pod, Container: &ctr, ID: pod.ID(w.pod.UID, ctr.Name, 0), SandboxID: w.sandboxID(),
		Command: ctr.Command, Args: ctr.Args, Env: w.env,
		Hostname: w.pod.Name, PodIPs: []string{"192.0.2.7"}, SeccompDefault: true,
	}
	if w.change != nil {
		w.change(&cfg)
	}
	return cfg
}

func script(text string) corev1.Container {
	return corev1.Container{Command: []string{"sh", "-c", text}}
}

// start creates and starts a container.
func (w *world) start(ctr corev1.Container) pod.ContainerConfig {
	w.t.Helper()
	cfg := w.config(ctr)
	if err := w.Client.Create(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Client.Start(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// run runs a container to its end, removes it and gives its last observation
// and its output.
func (w *world) run(ctr corev1.Container) (pod.Container, string) {
	w.t.Helper()
	cfg := w.start(ctr)
	seen := w.ended(cfg.ID)
	if err := w.Client.Reap(w.t.Context(), cfg.ID); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Client.Remove(w.t.Context(), cfg.ID); err != nil {
		w.t.Fatal(err)
	}
	out := w.output(cfg)
	if err := os.Remove(w.logPath(cfg)); err != nil {
		w.t.Fatal(err)
	}
	return seen, out
}

// seen is a container as it is observed, or nil.
func (w *world) seen(id string) *pod.Container {
	w.t.Helper()
	_, containers := w.Seen(w.pod.UID)
	for _, c := range containers {
		if c.ID == id {
			return &c
		}
	}
	return nil
}

// ended waits until a container has ended.
func (w *world) ended(id string) pod.Container {
	w.t.Helper()
	var last pod.Container
	w.eventually("the container has ended", func() bool {
		c := w.seen(id)
		if c == nil {
			w.t.Fatal("there is no such container")
		}
		last = *c
		return c.State == pod.Exited
	})
	return last
}

// eventually asks again and again: what is outside of us tells of no change.
func (w *world) eventually(what string, ask func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ask(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not in time: %s", what)
		}
	}
}

func (w *world) logPath(cfg pod.ContainerConfig) string {
	return w.Logs.Path(pod.Key{UID: w.pod.UID, Namespace: w.pod.Namespace, Name: w.pod.Name}, cfg.Container.Name, cfg.Attempt)
}

// output is what a container wrote, without what the log adds.
func (w *world) output(cfg pod.ContainerConfig) string {
	w.t.Helper()
	var out bytes.Buffer
	err := w.Logs.Read(w.t.Context(), &out, pod.LogOptions{
		Pod:       pod.Key{UID: w.pod.UID, Namespace: w.pod.Namespace, Name: w.pod.Name},
		Container: cfg.Container.Name, Attempt: cfg.Attempt,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}

// says runs a script and compares the lines that it writes.
func (w *world) says(ctr corev1.Container, want ...string) {
	w.t.Helper()
	seen, out := w.run(ctr)
	if got := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); !slices.Equal(got, want) {
		w.t.Errorf("it wrote (exit code %d)\n%q, want\n%q", seen.ExitCode, got, want)
	}
}

func ptr[T any](v T) *T { return &v }
