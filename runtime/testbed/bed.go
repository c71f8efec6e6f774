// Package testbed gives a test a containerd of its own, with what podd makes of
// it: client, images, sandboxes. What the test leaves behind fails it.
//
// The tests of package runtime and its subpackages import it.
package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/cgroup"
	"github.com/podd-io/podd/runtime/daemon"
	"github.com/podd-io/podd/runtime/logfile"
	"github.com/podd-io/podd/runtime/sandbox"
	"github.com/podd-io/podd/runtime/volume"
)

// Bed is a containerd in a directory of its own, and podd's parts on it.
type Bed struct {
	// Dir has podd's root, run directory and log directory: lib, run, log.
	Dir       string
	Config    runtime.Config
	Client    *runtime.Client
	Images    runtime.Images
	Sandboxes *sandbox.Sandboxes
	Volumes   *volume.Volumes
	Cgroups   *cgroup.Cgroups
	Logs      *logfile.Logs
	Log       *zap.Logger

	t      *testing.T
	daemon *daemon.Containerd
}

// New brings one up; it goes with the test. It needs root and bin/bundle.
func New(t *testing.T) *Bed {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p") // sockets' paths have to be short
	if err != nil {
		t.Fatal(err)
	}
	b := &Bed{t: t, Dir: dir, Log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))}
	t.Cleanup(b.removeFiles)
	b.Volumes = volume.New(b.Path("lib"), b.Log)
	b.Logs = logfile.New(logfile.Config{Dir: b.Path("log")}, b.Log)
	name := fmt.Sprintf("podd-bed-%d-%s", os.Getpid(), filepath.Base(dir))
	root := runtime.CgroupRoot("/" + name)
	b.Cgroups = cgroup.New(root, nil, b.Log)
	b.Config = runtime.Config{
		Address: b.Path("run", "containerd", "containerd.sock"), Namespace: name,
		Root: b.Path("lib"), RunDir: b.Path("run"), LogDir: b.Path("log"), CgroupRoot: root,
		VolumePath: b.Volumes.Path,
		OpenLog:    func(path string, limits pod.LogLimits) (runtime.Log, error) { return b.Logs.Open(path, limits) },
		OOMKilled:  cgroup.OOMKilled, EmptyCgroup: cgroup.Empty,
		MakeGroup: b.Cgroups.MakeGroup, RemoveGroup: b.Cgroups.RemoveGroup,
	}
	b.startContainerd()
	b.connect()
	t.Cleanup(b.checkLeaks)
	return b
}

// Path is one in the bed's directory.
func (b *Bed) Path(parts ...string) string {
	return filepath.Join(append([]string{b.Dir}, parts...)...)
}

func (b *Bed) startContainerd() {
	b.t.Helper()
	bundle, err := daemon.FindBundle(filepath.Join(moduleRoot(b.t), "bin", "bundle"))
	if err != nil {
		b.t.Fatalf("%v: run `make bundle`", err)
	}
	b.daemon, err = daemon.New(daemon.Config{
		Root: b.Path("lib", "containerd"), RunDir: b.Path("run", "containerd"), Bundle: bundle, Log: b.Log,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.daemon.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	select {
	case <-b.daemon.Up():
	case err := <-ended:
		b.t.Fatal(err)
	}
}

func (b *Bed) connect() {
	b.t.Helper()
	client, err := runtime.Connect(b.t.Context(), b.Config, b.Log)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = b.Client.Close() })
	b.use(client)
}

func (b *Bed) use(client *runtime.Client) {
	b.Client, b.Images = client, runtime.Images{Client: client}
	b.Sandboxes = sandbox.New(client, sandbox.Config{
		CgroupRoot: b.Config.CgroupRoot, LogDir: b.Config.LogDir,
		Namespace: func(_ context.Context, uid types.UID) (string, error) { return b.netns(uid) },
	}, b.Log)
}

// Restart does what a death of podd and its next start do to the client.
func (b *Bed) Restart(between func()) {
	b.t.Helper()
	if err := b.Client.Close(); err != nil {
		b.t.Fatal(err)
	}
	if between != nil {
		between()
	}
	client, err := runtime.Connect(b.t.Context(), b.Config, b.Log)
	if err != nil {
		b.t.Fatal(err)
	}
	b.use(client)
	if err := client.Adopt(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// KillContainerd kills containerd, and returns when it does no longer answer.
// It comes back by itself.
func (b *Bed) KillContainerd() {
	b.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	b.Check(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(text, []byte("containerd\x00")) || !bytes.Contains(text, []byte(b.Dir+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		b.Check(err)
		b.Check(syscall.Kill(pid, syscall.SIGKILL))
		for b.daemon.Answers() {
			time.Sleep(time.Millisecond)
		}
		return
	}
	b.t.Fatal("containerd does not run")
}

// Forget removes everything of a pod, whatever a test left of it.
func (b *Bed) Forget(uid types.UID) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), time.Minute)
	defer cancel()
	b.Check(daemon.Ping(ctx, b.Config.Address)) // it may have been killed
	sandboxes, containers, _, err := b.Client.Observe(ctx, uid, nil)
	b.Check(err)
	for _, c := range containers {
		b.Check(b.Client.Remove(ctx, c.ID))
	}
	for _, s := range sandboxes {
		b.Check(b.Sandboxes.Remove(ctx, uid, s.ID))
	}
	b.Check(b.Volumes.Remove(ctx, uid))
	b.Check(b.Cgroups.Remove(ctx, uid))
	b.removeNetns(uid)
}

// Check fails the test, which goes on, on an error.
func (b *Bed) Check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
	}
}

// Seen are a pod's sandboxes and containers.
func (b *Bed) Seen(uid types.UID) ([]pod.Sandbox, []pod.Container) {
	b.t.Helper()
	sandboxes, containers, _, err := b.Client.Observe(b.t.Context(), uid, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return sandboxes, containers
}

func (b *Bed) removeFiles() {
	if b.t.Failed() {
		text, _ := os.ReadFile(b.Path("run", "containerd", "containerd.log"))
		b.t.Logf("containerd's log:\n%s", text)
	}
	if err := os.RemoveAll(b.Dir); err != nil {
		b.t.Error(err)
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("the test does not run inside its module")
	return ""
}
