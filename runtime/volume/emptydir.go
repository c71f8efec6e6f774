package volume

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// tmpfsMark stands beside a volume that is a tmpfs, so that its loss is seen.
const tmpfsMark = ".tmpfs"

func makeEmptyDir(dir string, src *corev1.EmptyDirVolumeSource, group *int64) error {
	switch src.Medium {
	case corev1.StorageMediumDefault:
		if err := makeDir(dir, 0o777); err != nil {
			return err
		}
	case corev1.StorageMediumMemory:
		size := ""
		if src.SizeLimit != nil && !src.SizeLimit.IsZero() {
			size = fmt.Sprintf("size=%d", src.SizeLimit.Value())
		}
		if err := mountTmpfs(dir, size); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown storage medium %q", src.Medium)
	}
	return ownByGroup(dir, group)
}

// makeDir makes a directory with just this mode, whatever the umask.
func makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm() == mode {
		return err
	}
	return os.Chmod(dir, mode|st.Mode()&os.ModeSetgid)
}

// mountTmpfs mounts one, unless it is there.
func mountTmpfs(dir, options string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(dir+tmpfsMark, nil, 0o600); err != nil {
		return err
	}
	if mounted, err := mountinfo.Mounted(dir); err != nil || mounted {
		return err
	}
	data := "mode=0777"
	if options != "" {
		data += "," + options
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, data); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return nil
}

func lostMount(dir string) bool {
	if _, err := os.Stat(dir + tmpfsMark); err != nil {
		return false
	}
	mounted, err := mountinfo.Mounted(dir)
	return err == nil && !mounted
}

// ownByGroup gives a volume to the pod's fsGroup as a kubelet does: group
// owner, group readable and writable, directories set-group-id.
func ownByGroup(dir string, group *int64) error {
	if group == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, -1, int(*group)); err != nil {
			return err
		}
		if d.Type()&os.ModeSymlink != 0 {
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		mode := st.Mode().Perm() | 0o060
		if st.Mode().Perm()&0o200 == 0 {
			mode = st.Mode().Perm() | 0o040
		}
		if d.IsDir() {
			mode |= 0o010 | os.ModeSetgid
		}
		return os.Chmod(path, mode)
	})
}
