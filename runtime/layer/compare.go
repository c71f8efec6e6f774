package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	continuity "github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"
)

// A layer's archive marks what lower layers have and this one has not by these
// names. Source: OCI image specification, layer.md, "Whiteouts".
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// capabilities is the one extended attribute that programs in images have need
// of.
const capabilities = "security.capability"

// Compare reads an uncompressed layer to its end and tells what differs in the
// directory it was unpacked to, as an overlay snapshotter does: a line a path,
// sorted, none when all is there. What the directory has beyond the layer is
// not looked at. The error is the archive's.
func Compare(archive io.Reader, dir string) (differences []string, err error) {
	c := comparison{dir: dir, wrong: map[string]string{}, rights: map[uint64]rights{}, buf: make([]byte, 2*chunk)}
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the layer: %w", err)
		}
		if err := c.entry(h, r); err != nil {
			return nil, fmt.Errorf("read %s in the layer: %w", h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, archive); err != nil { // what follows the end mark counts for its digest
		return nil, fmt.Errorf("read the layer: %w", err)
	}
	for _, r := range c.rights {
		if _, worse := c.wrong[r.name]; r.wrong != "" && !worse {
			c.wrong[r.name] = r.wrong
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.wrong)) {
		differences = append(differences, path+": "+c.wrong[path])
	}
	return differences, nil
}

// chunk is how much of a file is compared at a time.
const chunk = 128 << 10

type comparison struct {
	dir string
	// wrong is what differs, by path. A later entry of the same path replaces
	// an earlier one, as in unpacking.
	wrong map[string]string
	// rights are the modes and owners that differ, by inode: the last entry of
	// a file sets them, be it a hard link to it.
	rights map[uint64]rights
	buf    []byte
}

// rights is what is wrong with a file's mode and owner by the entry of a name;
// empty for nothing.
type rights struct{ name, wrong string }

// entry compares one. Its error is the archive's.
func (c *comparison) entry(h *tar.Header, content io.Reader) error {
	name := filepath.Clean("/" + h.Name)[1:]
	if name == "" || h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	wrong, err := c.differs(name, h, content)
	if err != nil {
		return err
	}
	delete(c.wrong, name)
	if wrong != "" {
		c.wrong[name] = wrong
	}
	return nil
}

// path is where an entry is unpacked to: links in the directories above it are
// followed, and never lead out.
func (c *comparison) path(name string) (string, error) {
	parent, err := continuity.RootPath(c.dir, filepath.Dir(name))
	return filepath.Join(parent, filepath.Base(name)), err
}

func (c *comparison) differs(name string, h *tar.Header, content io.Reader) (string, error) {
	if hidden, ok := strings.CutPrefix(filepath.Base(name), whiteout); ok {
		return c.hides(filepath.Join(filepath.Dir(name), hidden), filepath.Base(name) == opaque), nil
	}
	path, err := c.path(name)
	if err != nil {
		return fmt.Sprintf("its directory can't be reached: %v", err), nil
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "is missing", nil
	}
	if err != nil {
		return err.Error(), nil
	}
	if wrong := c.kind(h, path, info); wrong != "" {
		return wrong, nil
	}
	st := info.Sys().(*syscall.Stat_t)
	c.rights[st.Ino] = rights{name, differentRights(h, info)}
	if h.Typeflag != tar.TypeReg {
		return "", nil
	}
	return c.content(h, path, info, content)
}

// hides tells whether a whiteout is in force. What the same layer puts in its
// place comes with an entry of its own, and is left to that.
func (c *comparison) hides(name string, whole bool) string {
	path, err := c.path(name)
	if err != nil {
		return fmt.Sprintf("its directory can't be reached: %v", err)
	}
	if whole {
		return isOpaque(filepath.Dir(path))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "the mark that it is deleted is missing"
	}
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode()&fs.ModeCharDevice != 0 && st.Rdev != 0 {
		return "is there although it is deleted"
	}
	return ""
}

func isOpaque(dir string) string {
	got := make([]byte, 8)
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", got)
	if err != nil || string(got[:n]) != "y" {
		return "the mark that what was in the directory is deleted is missing"
	}
	return ""
}

// kind compares everything but rights and what is in a file.
func (c *comparison) kind(h *tar.Header, path string, info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	if h.Typeflag == tar.TypeLink {
		return c.hardLink(h, st)
	}
	want, got := h.FileInfo().Mode(), info.Mode()
	switch {
	case want.Type() != got.Type():
		return fmt.Sprintf("is a %s instead of a %s", describe(got), describe(want))
	case h.Typeflag == tar.TypeSymlink:
		if target, err := os.Readlink(path); err != nil || target != h.Linkname {
			return fmt.Sprintf("leads to %q instead of %q", target, h.Linkname)
		}
	case want.Type()&fs.ModeDevice != 0 && st.Rdev != unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)):
		return "is another device"
	}
	return attributes(h, path)
}

func differentRights(h *tar.Header, info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	if int(st.Uid) != h.Uid || int(st.Gid) != h.Gid {
		return fmt.Sprintf("belongs to %d:%d instead of %d:%d", st.Uid, st.Gid, h.Uid, h.Gid)
	}
	// A link's mode is the file's too.
	want, got := h.FileInfo().Mode()&^fs.ModeType, info.Mode()&^fs.ModeType
	if want != got && info.Mode().Type() != fs.ModeSymlink {
		return fmt.Sprintf("has mode %s instead of %s", got, want)
	}
	return ""
}

func describe(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symbolic link"
	}
	return "special file"
}

func attributes(h *tar.Header, path string) string {
	want, ok := h.PAXRecords["SCHILY.xattr."+capabilities]
	if !ok {
		return ""
	}
	got := make([]byte, 256)
	n, err := unix.Lgetxattr(path, capabilities, got)
	if err != nil || string(got[:n]) != want {
		return "has lost its capabilities"
	}
	return ""
}

func (c *comparison) hardLink(h *tar.Header, st *syscall.Stat_t) string {
	target, err := c.path(filepath.Clean("/" + h.Linkname)[1:])
	if err != nil {
		return fmt.Sprintf("what it is a link to can't be reached: %v", err)
	}
	info, err := os.Lstat(target)
	if err != nil || info.Sys().(*syscall.Stat_t).Ino != st.Ino {
		return fmt.Sprintf("is no link to %s", h.Linkname)
	}
	return ""
}

// content compares a file with the archive's. Its error is the archive's.
func (c *comparison) content(h *tar.Header, path string, info fs.FileInfo, want io.Reader) (string, error) {
	if info.Size() != h.Size {
		return fmt.Sprintf("has %d bytes instead of %d", info.Size(), h.Size), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err.Error(), nil
	}
	defer f.Close()
	a, b := c.buf[:chunk], c.buf[chunk:]
	for at := int64(0); at < h.Size; {
		n, err := io.ReadFull(want, a)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) || n == 0 {
			return "", err
		}
		if _, err := io.ReadFull(f, b[:n]); err != nil {
			return fmt.Sprintf("can't be read: %v", err), nil
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return fmt.Sprintf("differs after %d bytes", at), nil
		}
		at += int64(n)
	}
	return "", nil
}
