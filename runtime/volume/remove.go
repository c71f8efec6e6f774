package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// Remove unmounts and deletes everything a pod has on disk but its logs;
// nothing there is success. It deletes nothing while anything is mounted
// there, so that it can't delete through a mount.
func (v *Volumes) Remove(_ context.Context, uid types.UID) error {
	if err := v.remove(uid); err != nil {
		return failure(fmt.Errorf("remove files of pod %s: %w", uid, err))
	}
	return nil
}

func (v *Volumes) remove(uid types.UID) error {
	if id := string(uid); id == "." || !filepath.IsLocal(id) || strings.Contains(id, "/") {
		return permanent("%q is no uid", uid)
	}
	// The kernel tells of mounts by paths without symbolic links.
	dir, err := filepath.EvalSymlinks(v.podDir(uid))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// unmountBelow unmounts all there is at or below dir. Where two mounts lie on
// each other the lower one is seen only when the upper one is gone, hence the
// rounds.
func unmountBelow(dir string) error {
	before := -1
	for {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
		if err != nil {
			return fmt.Errorf("list mounts: %w", err)
		}
		if len(mounts) == 0 {
			return nil
		}
		if len(mounts) == before {
			return fmt.Errorf("%s and %d more can't be unmounted", mounts[0].Mountpoint, len(mounts)-1)
		}
		before = len(mounts)
		if err := unmount(mounts); err != nil {
			return err
		}
	}
}

// unmount unmounts, at each place, the topmost mount, the deepest places
// first. All are made private before: a bind mount of a shared tree, such as a
// hostPath's, would take the host's own mounts below it along.
func unmount(mounts []*mountinfo.Info) error {
	places := make([]string, 0, len(mounts))
	for _, m := range mounts {
		places = append(places, m.Mountpoint)
	}
	slices.SortFunc(places, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(b, "/"), strings.Count(a, "/")), cmp.Compare(a, b))
	})
	places = slices.Compact(places)
	for _, place := range places {
		if err := unix.Mount("", place, "", unix.MS_PRIVATE, ""); err != nil && !isNoMount(err) {
			return fmt.Errorf("make mount %s private: %w", place, err)
		}
	}
	for _, place := range places {
		err := unix.Unmount(place, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			err = unix.Unmount(place, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		if err != nil && !isNoMount(err) {
			return fmt.Errorf("unmount %s: %w", place, err)
		}
	}
	return nil
}

// isNoMount tells of a place that is none any more, or that another mount
// hides.
func isNoMount(err error) bool { return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) }
