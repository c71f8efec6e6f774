package cgroup

import (
	"context"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/systemd"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
)

// unifiedMount is where the one hierarchy of cgroup v2 is.
const unifiedMount = "/sys/fs/cgroup"

// WithSystemd tells whether systemd can make the pods' cgroups: it has to be
// PID 1, and the host on cgroup v2, where it is the only one who may.
func WithSystemd() bool {
	return systemd.IsRunningSystemd() && cgroups.IsCgroup2UnifiedMode()
}

// makePodSlice also makes the root, so that a shutdown stops it no earlier than
// what is in it.
func (c *Cgroups) makePodSlice(ctx context.Context, cfg pod.CgroupConfig) error {
	err := c.slices.Make(ctx, path.Base(c.root.Path()), "Pods of podd", nil)
	if err == nil {
		err = c.slices.Make(ctx, path.Base(c.root.Pod(cfg.UID)), "Pod "+string(cfg.UID), limits(cfg.Resources))
	}
	if err != nil {
		return failure("FailedCreatePodContainer", err)
	}
	return nil
}

// MakeGroup makes what has to be there of a container's cgroup before the OCI
// runtime makes the rest: its slice, where systemd has the cgroups.
func (c *Cgroups) MakeGroup(ctx context.Context, group string) error {
	if !isSlice(group) {
		return nil
	}
	if err := c.slices.Make(ctx, path.Base(group), "Container of podd", nil); err != nil {
		return failure("", err)
	}
	return nil
}

// RemoveGroup removes what MakeGroup made; what is not there is success,
// processes that remain are a failure.
func (c *Cgroups) RemoveGroup(ctx context.Context, group string) error {
	if !isSlice(group) {
		return nil
	}
	return c.stopSlice(ctx, group)
}

// stopSlice stops a slice in which no process is any more; a stop would kill
// them.
func (c *Cgroups) stopSlice(ctx context.Context, group string) error {
	dir := filepath.Join(unifiedMount, group)
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	if left := remaining(dir); left != "" {
		return failure("", fmt.Errorf("remove cgroup %s%s", dir, left))
	}
	if err := c.slices.Stop(ctx, path.Base(group)); err != nil {
		return failure("", err)
	}
	return nil
}

// stopEmptyRoot only tries, as removeEmptyRoot does.
func (c *Cgroups) stopEmptyRoot(ctx context.Context) {
	entries, err := os.ReadDir(filepath.Join(unifiedMount, c.root.Path()))
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			return
		}
	}
	if err := c.slices.Stop(ctx, path.Base(c.root.Path())); err != nil {
		c.log.Warn("the pods' slice, in which no pod is any more, stays", zap.Error(err))
	}
}

func isSlice(group string) bool { return strings.HasSuffix(group, ".slice") }

// quotaStep is what systemd rounds a quota to: it keeps whole percents.
const quotaStep = 10_000

// limits are a pod's settings as systemd's properties, so that it sets the same
// again whenever it is reloaded.
func limits(r pod.PodResources) map[string]uint64 {
	out := map[string]uint64{
		"CPUWeight": cgroups.ConvertCPUSharesToCgroupV2Value(shares(r)),
		"MemoryMax": math.MaxUint64, "CPUQuotaPerSecUSec": math.MaxUint64, // none
	}
	if r.MemoryLimit > 0 {
		out["MemoryMax"] = uint64(r.MemoryLimit)
	}
	if r.MilliCPULimit > 0 {
		out["CPUQuotaPerSecUSec"] = (uint64(r.MilliCPULimit)*1000 + quotaStep - 1) / quotaStep * quotaStep
	}
	return out
}
