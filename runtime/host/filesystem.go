package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// FileSystem tells how full the file system of a path is. What is reserved for
// root counts as used: others would fail before podd does.
func FileSystem(path string) (pod.FileSystem, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return pod.FileSystem{}, fmt.Errorf("read how full the file system of %s is: %w", path, err)
	}
	return pod.FileSystem{Capacity: int64(st.Blocks) * st.Bsize, Available: int64(st.Bavail) * st.Bsize}, nil
}
