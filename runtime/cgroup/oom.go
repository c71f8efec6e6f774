package cgroup

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
)

// OOMKilled tells whether the kernel killed a process in a cgroup, or below
// it, for want of memory. The counter goes with the cgroup.
func OOMKilled(cgroup string) bool {
	if cgroups.IsCgroup2UnifiedMode() {
		// It counts what is below too (the kernel's cgroup-v2.rst).
		return killed(filepath.Join("/sys/fs/cgroup", cgroup, "memory.events"))
	}
	mount, err := cgroups.FindCgroupMountpoint("/sys/fs/cgroup", "memory")
	if err != nil {
		return false
	}
	found := false
	_ = filepath.WalkDir(filepath.Join(mount, cgroup), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			found = found || killed(filepath.Join(path, "memory.oom_control"))
		}
		return nil // what vanishes meanwhile tells nothing
	})
	return found
}

// killed reads the counter oom_kill of a file; without one nothing was killed.
func killed(file string) bool {
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
