package cgroup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"go.uber.org/zap/zaptest"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/cgroup"
)

const uid = types.UID("11111111-2222-3333-4444-555555555555")

// everywhere is where, of all hierarchies, a cgroup exists.
func everywhere(t *testing.T, group string) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range mounts {
		if _, err := os.Stat(filepath.Join(m.Mountpoint, group)); err == nil {
			found = append(found, m.Mountpoint)
		}
	}
	return found
}

func TestLimitsAreSetAndEverythingGoes(t *testing.T) {
	root := "/podd-test-" + filepath.Base(t.TempDir()) + strings.ToLower(t.Name())
	c := cgroup.New(root, zaptest.NewLogger(t))
	cfg := pod.CgroupConfig{UID: uid, Resources: pod.PodResources{MilliCPURequest: 500, MilliCPULimit: 1500, MemoryLimit: 64 << 20}}
	for range 2 { // twice is the same as once
		if err := c.Create(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := c.Exists(uid); !ok || err != nil {
		t.Fatalf("Exists = %v, %v", ok, err)
	}
	keys, err := c.Pods()
	if err != nil || len(keys) != 1 || keys[0].UID != uid {
		t.Fatalf("Pods = %v, %v", keys, err)
	}
	// What the OCI runtime leaves behind in hierarchies that podd does not use.
	for _, m := range everywhere(t, "/") {
		_ = os.MkdirAll(filepath.Join(m, c.Path(uid)), 0o755)
	}
	for range 2 {
		if err := c.Remove(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
	}
	if left := everywhere(t, root); len(left) > 0 {
		t.Errorf("the root is left in %v", left)
	}
}
