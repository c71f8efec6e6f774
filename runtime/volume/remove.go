package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	dir := v.podDir(uid)
	if err := unmountBelow(dir); err != nil {
		return failure(fmt.Errorf("remove files of pod %s: %w", uid, err))
	}
	if err := os.RemoveAll(dir); err != nil {
		return failure(fmt.Errorf("remove files of pod %s: %w", uid, err))
	}
	return nil
}

func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	// Deepest first, and of two at one place the later one.
	slices.Reverse(mounts)
	slices.SortStableFunc(mounts, func(a, b *mountinfo.Info) int {
		return strings.Count(b.Mountpoint, "/") - strings.Count(a.Mountpoint, "/")
	})
	for _, m := range mounts {
		err := unix.Unmount(m.Mountpoint, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			err = unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
		}
	}
	if left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir)); err != nil || len(left) > 0 {
		return fmt.Errorf("%d mounts remain (%v)", len(left), err)
	}
	return nil
}
