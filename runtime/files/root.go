package files

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is the file system of a running container. It may be used by one
// goroutine at a time.
type Root struct {
	dir *os.File
	// Cwd is where relative paths begin.
	Cwd string
	// Owner is who files belong to that keep no owner of their own.
	Owner Owner
}

// Owner is a user and a group by number.
type Owner struct{ UID, GID int }

// Open opens the root of a process. The caller makes sure that the process was
// the container's, and closes it.
func Open(pid int) (*Root, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the container's file system: %w", err)
	}
	return &Root{dir: os.NewFile(uintptr(fd), "/"), Cwd: "/"}, nil
}

// Close closes it.
func (r *Root) Close() { r.dir.Close() }

// abs is a path from the root on, without dots.
func (r *Root) abs(p string) string {
	if !path.IsAbs(p) {
		p = path.Join("/", r.Cwd, p)
	}
	return path.Clean(p)
}

// open opens a path as the container would see it.
func (r *Root) open(p string, flags int) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(r.dir.Fd()), p, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), p), nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			// Something moved meanwhile: the kernel asks to try again.
		default:
			return nil, &os.PathError{Op: "open", Path: p, Err: err}
		}
	}
}

// parent opens the directory that a path is in; missing ones are made.
func (r *Root) parent(p string) (*os.File, error) {
	dir := path.Dir(p)
	f, err := r.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	made := "/"
	for part := range strings.SplitSeq(strings.TrimPrefix(dir, "/"), "/") {
		if err := r.makeDir(made, part); err != nil {
			return nil, err
		}
		made = path.Join(made, part)
	}
	return r.open(dir, unix.O_PATH|unix.O_DIRECTORY)
}

func (r *Root) makeDir(in, name string) error {
	d, err := r.open(in, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer d.Close()
	err = unix.Mkdirat(int(d.Fd()), name, 0o755)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "mkdir", Path: path.Join(in, name), Err: err}
	}
	return unix.Fchownat(int(d.Fd()), name, r.Owner.UID, r.Owner.GID, unix.AT_SYMLINK_NOFOLLOW)
}

// again opens what a path descriptor stands for.
func again(f *os.File, flags int) (*os.File, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
