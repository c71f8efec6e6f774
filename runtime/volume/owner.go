package volume

import (
	"io/fs"
	"os"
	"path/filepath"
)

// What the pod's fsGroup is given of a volume, by the kubelet's masks.
const (
	readWrite os.FileMode = 0o660
	readOnly  os.FileMode = 0o440
	// directories are entered too.
	enter os.FileMode = 0o110
)

// ownByGroup gives a volume to the pod's fsGroup, if it has one: group owner,
// access as mask says, directories set-group-id. Kubernetes' fsGroupChangePolicy
// has no say in the kinds of volume that are made here.
func ownByGroup(dir string, group *int64, mask os.FileMode) error {
	if group == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return giveToGroup(path, d, int(*group), mask)
	})
}

// giveToGroup leaves a symbolic link's target alone.
func giveToGroup(path string, d fs.DirEntry, group int, mask os.FileMode) error {
	if err := os.Lchown(path, -1, group); err != nil || d.Type()&fs.ModeSymlink != 0 {
		return err
	}
	st, err := d.Info()
	if err != nil {
		return err
	}
	if d.IsDir() {
		mask |= enter | os.ModeSetgid
	}
	return os.Chmod(path, st.Mode()|mask)
}
