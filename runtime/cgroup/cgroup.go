package cgroup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
)

// Slices makes and removes slices of systemd's; package systemd has them.
type Slices interface {
	// Make starts one with limits, or sets those of one that is there.
	Make(ctx context.Context, name, description string, limits map[string]uint64) error
	// Stop stops one, with the units in it.
	Stop(ctx context.Context, name string) error
}

// Cgroups are the pods' cgroups. Those of the containers are below, made by the
// OCI runtime. It may be used by many goroutines at once.
type Cgroups struct {
	root   runtime.CgroupRoot
	slices Slices
	log    *zap.Logger
	// sharing is held for reading while a pod's cgroup is made, for writing
	// while a root without pods is removed.
	sharing sync.RWMutex
}

// New works below root, which comes with the first pod and goes with the last.
// Cgroups above it are made as needed and left. slices are needed only where
// the root is one.
func New(root runtime.CgroupRoot, slices Slices, log *zap.Logger) *Cgroups {
	return &Cgroups{root: root, slices: slices, log: log}
}

// Create makes a pod's cgroup in every hierarchy, or as a slice of systemd's,
// and sets its limits; done again it sets them anew.
func (c *Cgroups) Create(ctx context.Context, cfg pod.CgroupConfig) error {
	c.sharing.RLock()
	defer c.sharing.RUnlock()
	if c.root.Systemd() {
		return c.makePodSlice(ctx, cfg)
	}
	group := &cgroups.Cgroup{Path: c.root.Pod(cfg.UID), Resources: settings(cfg.Resources)}
	m, err := manager.New(group)
	if err == nil {
		err = m.Apply(-1) // no process moves into it
	}
	if err != nil {
		return failure("FailedCreatePodContainer", fmt.Errorf("make cgroup %s: %w", group.Path, err))
	}
	if err := m.Set(group.Resources); err != nil {
		return failure("FailedCreatePodContainer", fmt.Errorf("set the limits of cgroup %s: %w", group.Path, err))
	}
	return nil
}

// The kubelet's constants for cpu.
const (
	sharesPerCPU = 1024
	minShares    = 2
	quotaPeriod  = 100_000
	minQuota     = 1_000
)

func shares(r pod.PodResources) uint64 {
	return max(uint64(r.MilliCPURequest)*sharesPerCPU/1000, minShares)
}

func settings(r pod.PodResources) *cgroups.Resources {
	out := &cgroups.Resources{SkipDevices: true, SkipFreezeOnSet: true, CpuShares: shares(r)}
	if r.MilliCPULimit > 0 {
		out.CpuQuota, out.CpuPeriod = max(r.MilliCPULimit*quotaPeriod/1000, minQuota), quotaPeriod
	} else {
		out.CpuQuota = -1
	}
	out.Memory = -1
	if r.MemoryLimit > 0 {
		out.Memory = r.MemoryLimit
	}
	if cgroups.IsCgroup2UnifiedMode() {
		out.CpuWeight, out.CpuShares = cgroups.ConvertCPUSharesToCgroupV2Value(out.CpuShares), 0
	}
	return out
}

// Exists tells whether any hierarchy has the pod's cgroup.
func (c *Cgroups) Exists(uid types.UID) (bool, error) {
	mounts, err := hierarchies()
	if err != nil {
		return false, err
	}
	for _, m := range mounts {
		if _, err := os.Stat(filepath.Join(m, c.root.Pod(uid))); err == nil {
			return true, nil
		}
	}
	return false, nil
}

// Remove removes a pod's cgroup from every hierarchy: the OCI runtime leaves
// the parents of its own behind, in the named and the v2 ones too. What is not
// there is success; processes that remain in it are a failure that names them,
// and are not killed.
func (c *Cgroups) Remove(ctx context.Context, uid types.UID) error {
	if uid == "" || strings.Contains(string(uid), "/") {
		return &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf("remove cgroup: %q is no uid", uid)}
	}
	if c.root.Systemd() {
		if err := c.stopSlice(ctx, c.root.Pod(uid)); err != nil {
			return err
		}
	}
	mounts, err := hierarchies()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		dir := filepath.Join(m, c.root.Pod(uid))
		if err := cgroups.RemovePath(dir); err != nil {
			return failure("", fmt.Errorf("remove cgroup %s: %w%s", dir, err, remaining(dir)))
		}
	}
	c.removeEmptyRoot(ctx, mounts)
	return nil
}

// removeEmptyRoot only tries: a directory that has children refuses.
func (c *Cgroups) removeEmptyRoot(ctx context.Context, mounts []string) {
	if c.root.Path() == "/" {
		return
	}
	c.sharing.Lock()
	defer c.sharing.Unlock()
	if c.root.Systemd() {
		c.stopEmptyRoot(ctx)
		return
	}
	for _, m := range mounts {
		_ = os.Remove(filepath.Join(m, c.root.Path()))
	}
}

// remaining names the processes that keep a cgroup from going.
func remaining(dir string) string {
	var pids []string
	_ = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil && filepath.Base(p) == "cgroup.procs" {
			text, _ := os.ReadFile(p)
			pids = append(pids, strings.Fields(string(text))...)
		}
		return nil
	})
	if len(pids) == 0 {
		return ""
	}
	return " (processes remain: " + strings.Join(pids, " ") + ")"
}

// Pods lists the pods that have a cgroup. Only their uid is known.
func (c *Cgroups) Pods() ([]pod.Key, error) {
	mounts, err := hierarchies()
	if err != nil {
		return nil, err
	}
	seen := map[types.UID]bool{}
	var keys []pod.Key
	for _, m := range mounts {
		entries, _ := os.ReadDir(filepath.Join(m, c.root.Path())) // absent: no pods
		for _, e := range entries {
			uid, ok := c.root.UID(e.Name())
			if e.IsDir() && ok && !seen[uid] {
				seen[uid] = true
				keys = append(keys, pod.Key{UID: uid})
			}
		}
	}
	return keys, nil
}

// hierarchies are the mount points of all cgroup file systems.
func hierarchies() ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, failure("", fmt.Errorf("find cgroup hierarchies: %w", err))
	}
	out := make([]string, 0, len(mounts))
	for _, m := range mounts {
		if m.Root == "/" {
			out = append(out, m.Mountpoint)
		}
	}
	return out, nil
}

func failure(reason string, err error) error {
	return &pod.Failure{Kind: pod.Transient, Reason: reason, Message: err.Error()}
}

// Version is this host's: "v1" (hybrid included) or "v2".
func Version() string {
	if cgroups.IsCgroup2UnifiedMode() {
		return "v2"
	}
	return "v1"
}
