package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// subPath is the path below its volume that a mount asks for, in the kubelet's
// words if it may not have it; empty means the volume itself.
func subPath(m corev1.VolumeMount, env []string) (string, error) {
	path := m.SubPath
	if m.SubPathExpr != "" {
		var err error
		if path, err = pod.ExpandSubPath(m.SubPathExpr, env); err != nil {
			return "", fmt.Errorf("failed to expand subPathExpr: %w", err)
		}
	}
	if filepath.IsAbs(path) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", path)
	}
	if slices.Contains(strings.Split(path, "/"), "..") {
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", path)
	}
	return path, nil
}

// bindSubPath bind-mounts a path below a volume to a place that no container
// can change, and returns that place. The path is resolved below the volume's
// root by file descriptor, so that a symbolic link which a container planted
// can't lead out of the volume. Missing directories are made, with the mode of
// the volume's root. What an earlier call mounted there is replaced: the volume
// may have changed since.
func (c *Client) bindSubPath(cfg pod.ContainerConfig, i int, volume, root, sub string) (string, error) {
	place := filepath.Join(c.PodDir(cfg.Pod.UID), "volume-subpaths", volume, cfg.Container.Name, strconv.Itoa(i))
	if err := clearPlace(place); err != nil {
		return "", err
	}
	source, err := openBelow(root, sub)
	if err != nil {
		return "", err
	}
	defer source.Close()
	if err := makeMountPoint(place, source); err != nil {
		return "", err
	}
	fd := fmt.Sprintf("/proc/self/fd/%d", source.Fd())
	if err := unix.Mount(fd, place, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("bind %s: %w", sub, err)
	}
	return place, nil
}

// clearPlace unmounts what is at a place and removes the empty file or
// directory that it was mounted on.
func clearPlace(place string) error {
	for {
		err := unix.Unmount(place, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // not, or no longer, a mount point
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", place, err)
		}
	}
	if err := os.Remove(place); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old mount point: %w", err)
	}
	return nil
}

// openBelow opens a path below root without ever leaving it.
func openBelow(root, sub string) (*os.File, error) {
	f, err := pathrs.OpenInRoot(root, sub)
	if errors.Is(err, os.ErrNotExist) {
		if err := makeBelow(root, sub); err != nil {
			return nil, fmt.Errorf("make %s in the volume: %w", sub, err)
		}
		f, err = pathrs.OpenInRoot(root, sub)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s in the volume: %w", sub, err)
	}
	return f, nil
}

// makeBelow makes the missing directories of a path, each with the mode of the
// volume's root whatever the umask, as a kubelet does.
func makeBelow(root, sub string) error {
	base, err := os.Open(root)
	if err != nil {
		return err
	}
	defer base.Close()
	st, err := base.Stat()
	if err != nil {
		return err
	}
	mode, path := st.Mode().Perm(), ""
	for part := range strings.SplitSeq(filepath.Clean(sub), "/") {
		path = filepath.Join(path, part)
		if f, err := pathrs.OpenInRoot(root, path); err == nil {
			f.Close()
			continue
		}
		if err := makeDir(base, path, mode); err != nil {
			return err
		}
	}
	return nil
}

func makeDir(root *os.File, path string, mode os.FileMode) error {
	dir, err := pathrs.MkdirAllHandle(root, path, mode)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Chmod(mode)
}

func makeMountPoint(place string, source *os.File) error {
	st, err := source.Stat()
	if err != nil {
		return err
	}
	if st.IsDir() {
		return os.MkdirAll(place, 0o750)
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(place, os.O_CREATE|os.O_RDONLY, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}
