package stats

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Hierarchies are where cgroups are mounted.
type Hierarchies struct {
	// V1 has the mount points by controller; it is empty on a machine of v2 alone.
	V1 map[string]string
	// V2 is empty where it is not mounted. Beside V1 it has no controllers, and
	// is asked only how long processes waited.
	V2 string
}

// controllers that are asked.
var controllers = []string{"cpu", "cpuacct", "memory", "blkio", "pids"}

// FindHierarchies looks at this process' mounts.
func FindHierarchies() (Hierarchies, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return Hierarchies{}, fmt.Errorf("find cgroup hierarchies: %w", err)
	}
	h := Hierarchies{V1: map[string]string{}}
	for _, m := range mounts {
		if m.Root != "/" {
			continue // a part of one
		}
		if m.FSType == "cgroup2" {
			h.V2 = m.Mountpoint
			continue
		}
		for option := range strings.SplitSeq(m.VFSOptions, ",") {
			if slices.Contains(controllers, option) {
				h.V1[option] = m.Mountpoint
			}
		}
	}
	return h, nil
}

// unified tells whether the machine has v2 alone.
func (h Hierarchies) unified() bool { return len(h.V1) == 0 }

// dir is where a controller has a cgroup; empty when it is not mounted.
func (h Hierarchies) dir(controller, cgroup string) string {
	if h.unified() {
		return filepath.Join(h.V2, cgroup)
	}
	if mount := h.V1[controller]; mount != "" {
		return filepath.Join(mount, cgroup)
	}
	return ""
}
