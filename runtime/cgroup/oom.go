package cgroup

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
)

// OOMKilled tells whether the kernel killed a process in a cgroup, or below
// it, for want of memory. The counter goes with the cgroup (the kernel's
// cgroup-v1/memory.rst and cgroup-v2.rst: oom_kill).
func OOMKilled(cgroup string) bool {
	file := filepath.Join("/sys/fs/cgroup", cgroup, "memory.events")
	if !cgroups.IsCgroup2UnifiedMode() {
		mount, err := cgroups.FindCgroupMountpoint("/sys/fs/cgroup", "memory")
		if err != nil {
			return false
		}
		file = filepath.Join(mount, cgroup, "memory.oom_control")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}
