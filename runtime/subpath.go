package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// bindSubPath bind-mounts a path below a volume to a place that no container
// can change, and returns that place. The path is resolved below the volume's
// root by file descriptor, so that a symbolic link which a container planted
// can't lead out of the volume. Missing directories are made. Done twice it
// finds its own mount.
func (c *Client) bindSubPath(cfg pod.ContainerConfig, i int, volume, root, sub string) (string, error) {
	place := filepath.Join(c.PodDir(cfg.Pod.UID), "volume-subpaths", volume, cfg.Container.Name, strconv.Itoa(i))
	if mounted, err := mountinfo.Mounted(place); err == nil && mounted {
		if err := unix.Unmount(place, unix.MNT_DETACH); err != nil { // the source may have been replaced since
			return "", fmt.Errorf("unmount %s: %w", place, err)
		}
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

// openBelow opens a path below root without ever leaving it.
func openBelow(root, sub string) (*os.File, error) {
	f, err := pathrs.OpenInRoot(root, sub)
	if errors.Is(err, os.ErrNotExist) {
		if err := pathrs.MkdirAll(root, sub, 0o755); err != nil {
			return nil, fmt.Errorf("make %s in the volume: %w", sub, err)
		}
		f, err = pathrs.OpenInRoot(root, sub)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s in the volume: %w", sub, err)
	}
	return f, nil
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
