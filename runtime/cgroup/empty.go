package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// Empty kills every process in a container's cgroup, and below it, and returns
// when none is left, or ctx has ended. A cgroup that is not there is empty.
func Empty(ctx context.Context, group string) error {
	if path.Dir(path.Clean("/"+group)) == "/" {
		return failure("", fmt.Errorf("empty cgroup %q: it is no container's", group))
	}
	mounts, err := hierarchies()
	if err != nil {
		return err
	}
	for {
		left, err := kill(mounts, group)
		if err == nil && left > 0 {
			err = pause(ctx)
		}
		if err != nil {
			return failure("", fmt.Errorf("empty cgroup %s of %d processes: %w", group, left, err))
		}
		if left == 0 {
			return nil
		}
	}
}

// kill sends KILL and tells how many processes there were.
func kill(mounts []string, group string) (int, error) {
	there := map[int]bool{}
	for _, m := range mounts {
		pids, err := cgroups.GetAllPids(filepath.Join(m, group))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return len(there), err
		}
		for _, pid := range pids {
			there[pid] = true
		}
	}
	for pid := range there {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return len(there), err
		}
	}
	return len(there), nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}
