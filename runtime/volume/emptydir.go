package volume

import (
	"errors"
	"fmt"
	"os"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// makeEmptyDir makes one. One on disk that was ready before keeps what the
// containers made of it, over boots too.
func makeEmptyDir(dir string, src *corev1.EmptyDirVolumeSource, group *int64) error {
	switch src.Medium {
	case corev1.StorageMediumDefault:
		if _, err := os.Lstat(dir + markSuffix); err == nil {
			if _, err := os.Lstat(dir); err == nil {
				return nil
			}
		}
		if err := makeDir(dir, 0o777); err != nil {
			return err
		}
	case corev1.StorageMediumMemory:
		size := ""
		if src.SizeLimit != nil && src.SizeLimit.Value() > 0 {
			size = fmt.Sprintf(",size=%d", src.SizeLimit.Value())
		}
		if err := mountTmpfs(dir, size); err != nil {
			return err
		}
	default:
		return permanent("unknown storage medium %q", src.Medium)
	}
	return ownByGroup(dir, group, readWrite)
}

// makeDir makes a directory with at least this mode, whatever the umask.
func makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm()&mode == mode {
		return err
	}
	return os.Chmod(dir, st.Mode()|mode)
}

// mountTmpfs mounts one, unless it is there. It is never swapped out where the
// kernel can promise that (since 6.4).
func mountTmpfs(dir, options string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if mounted, err := mountinfo.Mounted(dir); err != nil || mounted {
		return err
	}
	options = "mode=0777" + options
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, options)
	}
	if err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return nil
}
