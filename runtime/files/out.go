package files

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// maxDepth bounds how deep directories are followed: each takes a descriptor.
const maxDepth = 512

// CopyOut writes a tar archive of what is at a path; the names in it begin with
// the path's last element. A link is archived as such, and sockets are left
// out, as tar(1) does.
func (r *Root) CopyOut(ctx context.Context, from string, w io.Writer) error {
	from = r.abs(from)
	dir, err := r.open(path.Dir(from), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	name := path.Base(from)
	if name == "/" {
		name = "."
	}
	out := &archive{ctx: ctx, w: tar.NewWriter(w)}
	if err := out.add(dir, name, name, 0); err != nil {
		return err
	}
	return out.w.Close()
}

type archive struct {
	ctx context.Context
	w   *tar.Writer
}

// add archives an entry of a directory under a name.
func (a *archive) add(dir *os.File, entry, as string, depth int) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), entry, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: as, Err: err}
	}
	f := os.NewFile(uintptr(fd), as)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: as, Err: err}
	}
	h := header(as, &st)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, as+"/"
		return a.addDir(f, h, as, depth)
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
		return a.addFile(f, h)
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = readlink(f); err != nil {
			return err
		}
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR:
		h.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
	default:
		return nil // a socket
	}
	return a.w.WriteHeader(h)
}

func header(as string, st *unix.Stat_t) *tar.Header {
	return &tar.Header{
		Name: as, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), Format: tar.FormatPAX,
		ModTime:  time.Unix(st.Mtim.Unix()).Truncate(time.Second),
		Devmajor: int64(unix.Major(st.Rdev)), Devminor: int64(unix.Minor(st.Rdev)),
	}
}

func (a *archive) addDir(f *os.File, h *tar.Header, as string, depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("%s: directories are nested more than %d deep", as, maxDepth)
	}
	if err := a.w.WriteHeader(h); err != nil {
		return err
	}
	dir, err := again(f, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := a.add(dir, name, path.Join(as, name), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// addFile archives as many bytes as the file had when it was looked at.
func (a *archive) addFile(f *os.File, h *tar.Header) error {
	content, err := again(f, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := a.w.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(a.w, content, h.Size)
	if err == io.EOF { //nolint:errorlint // CopyN's own
		return fmt.Errorf("%s: it shrank from %d to %d bytes while it was read", h.Name, h.Size, n)
	}
	return err
}

func readlink(f *os.File) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: f.Name(), Err: err}
	}
	return string(buf[:n]), nil
}
