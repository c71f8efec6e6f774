package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// CopyIn unpacks a tar archive into a directory that is there. What is in the
// way of a file is replaced; a file that is mounted there is written in place.
// With preserve it keeps modes and times, and owners if the container runs as
// root, as tar(1) would. What was unpacked before an error stays.
func (r *Root) CopyIn(ctx context.Context, to string, from io.Reader, preserve bool) error {
	to = r.abs(to)
	dir, err := r.open(to, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	dir.Close()
	u := &unpacking{root: r, to: to, preserve: preserve}
	in := tar.NewReader(from)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := u.entry(h, in); err != nil {
			return err
		}
	}
}

type unpacking struct {
	root     *Root
	to       string
	preserve bool
	// dirs get their times last: what is put into them changes these.
	dirs []*tar.Header
}

// place is where an entry goes, never above the directory.
func (u *unpacking) place(name string) string { return path.Join(u.to, path.Clean("/"+name)) }

func (u *unpacking) entry(h *tar.Header, content io.Reader) error {
	at := u.place(h.Name)
	if at == u.to {
		return nil // the directory itself
	}
	dir, err := u.root.parent(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	name := path.Base(at)
	switch h.Typeflag {
	case tar.TypeDir:
		err = u.makeDir(dir, name, h)
	case tar.TypeReg:
		err = u.write(dir, name, h, content)
	case tar.TypeSymlink:
		err = u.symlink(dir, name, h)
	case tar.TypeLink:
		err = u.link(dir, name, h)
	default:
		return fmt.Errorf("%s: the archive has something that is neither a file, a directory nor a link", h.Name)
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", at, err)
	}
	return nil
}

func (u *unpacking) makeDir(dir *os.File, name string, h *tar.Header) error {
	err := unix.Mkdirat(int(dir.Fd()), name, 0o755)
	if errors.Is(err, unix.EEXIST) {
		there, err := u.root.open(u.place(h.Name), unix.O_PATH|unix.O_DIRECTORY) // a link to one will do
		if err != nil {
			return err
		}
		return there.Close()
	}
	if err != nil {
		return err
	}
	u.dirs = append(u.dirs, h)
	return u.own(dir, name, h)
}

// own gives a directory or a link its owner, and a directory its mode.
func (u *unpacking) own(dir *os.File, name string, h *tar.Header) error {
	o := u.owner(h)
	if err := unix.Fchownat(int(dir.Fd()), name, o.UID, o.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeDir {
		return nil
	}
	return unix.Fchmodat(int(dir.Fd()), name, u.mode(h), 0)
}

func (u *unpacking) owner(h *tar.Header) Owner {
	if u.preserve && u.root.Owner.UID == 0 {
		return Owner{h.Uid, h.Gid}
	}
	return u.root.Owner
}

func (u *unpacking) mode(h *tar.Header) uint32 {
	if u.preserve {
		return uint32(h.Mode & 0o7777)
	}
	return uint32(h.Mode & 0o755)
}

func (u *unpacking) write(dir *os.File, name string, h *tar.Header, content io.Reader) error {
	f, err := create(dir, name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = u.dress(f, h)
	}
	return errors.Join(err, f.Close())
}

// create makes a new file in the place of what is there.
func create(dir *os.File, name string) (*os.File, error) {
	flags := unix.O_CREAT | unix.O_EXCL
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); errors.Is(err, unix.EBUSY) {
		flags = unix.O_TRUNC // something is mounted on it
	} else if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (u *unpacking) dress(f *os.File, h *tar.Header) error {
	o := u.owner(h)
	if err := f.Chown(o.UID, o.GID); err != nil {
		return err
	}
	if err := unix.Fchmod(int(f.Fd()), u.mode(h)); err != nil {
		return err
	}
	if !u.preserve {
		return nil
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), times(h.ModTime), 0)
}

func times(t time.Time) []unix.Timespec {
	ts := unix.NsecToTimespec(t.UnixNano())
	return []unix.Timespec{ts, ts}
}

func (u *unpacking) symlink(dir *os.File, name string, h *tar.Header) error {
	if err := makeRoom(dir, name); err != nil {
		return err
	}
	if err := unix.Symlinkat(h.Linkname, int(dir.Fd()), name); err != nil {
		return err
	}
	return u.own(dir, name, h)
}

// link makes a hard link to another entry of the archive.
func (u *unpacking) link(dir *os.File, name string, h *tar.Header) error {
	other, err := u.root.open(u.place(h.Linkname), unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer other.Close()
	if err := makeRoom(dir, name); err != nil {
		return err
	}
	return unix.Linkat(int(other.Fd()), "", int(dir.Fd()), name, unix.AT_EMPTY_PATH)
}

func makeRoom(dir *os.File, name string) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// finish gives the directories their times, the inner ones first.
func (u *unpacking) finish() error {
	if !u.preserve {
		return nil
	}
	for _, h := range slices.Backward(u.dirs) {
		d, err := u.root.open(u.place(h.Name), unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		err = unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", d.Fd()), times(h.ModTime), 0)
		if err = errors.Join(err, d.Close()); err != nil {
			return err
		}
	}
	return nil
}
