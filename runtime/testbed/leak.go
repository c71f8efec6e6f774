package testbed

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
)

// checkLeaks looks for what no pod needs any more.
func (b *Bed) checkLeaks() {
	ctx := namespaces.WithNamespace(context.Background(), b.Config.Namespace)
	cd := b.Client.Containerd()
	recs, err := cd.Containers(ctx)
	b.Check(err)
	for _, rec := range recs {
		b.t.Errorf("leak: container %s", rec.ID())
	}
	leases, err := cd.LeasesService().List(ctx)
	b.Check(err)
	for _, l := range leases {
		b.t.Errorf("leak: lease %s", l.ID)
	}
	b.Check(cd.SnapshotService("overlayfs").Walk(ctx, func(_ context.Context, s snapshots.Info) error {
		if s.Kind == snapshots.KindActive {
			b.t.Errorf("leak: snapshot %s", s.Name)
		}
		return nil
	}))
	b.checkHost()
}

func (b *Bed) checkHost() {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	b.Check(err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, b.Dir+"/") {
			b.t.Errorf("leak: mount %s", strings.TrimSpace(line))
		}
	}
	for _, pattern := range []string{
		"/sys/fs/cgroup" + b.Config.CgroupRoot.Path(), "/sys/fs/cgroup/*" + b.Config.CgroupRoot.Path(),
		b.Path("run", "io", "*"), b.Path("run", "exec", "*"), b.Path("run", "pods", "*"), b.Path("lib", "pods", "*"),
	} {
		left, err := filepath.Glob(pattern)
		b.Check(err)
		for _, path := range left {
			b.t.Errorf("leak: %s", path)
		}
	}
	if left := b.Shims(0); len(left) > 0 {
		b.t.Errorf("leak: shims %v", left)
	}
}

// Shims are the shims of the bed; they are given a moment to become as many as
// are wanted, since one ends a little after its last container.
func (b *Bed) Shims(want int) []string {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found := b.shims()
		if len(found) == want || time.Now().After(deadline) {
			return found
		}
	}
}

func (b *Bed) shims() []string {
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if args := string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})); strings.Contains(args, "-namespace "+b.Config.Namespace+" ") {
			found = append(found, args)
		}
	}
	return found
}
