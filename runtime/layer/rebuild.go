package layer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/pkg/archive"
	"golang.org/x/sys/unix"
)

// Rebuild unpacks an uncompressed layer into the place of a directory, as an
// overlay snapshotter does, and takes what was there away. The directory is
// either what it was or, synced to disk, what the layer says. parents are the
// directories of the layers below, the nearest first. Nothing may have the
// directory mounted.
func Rebuild(ctx context.Context, r io.Reader, dir string, parents []string) (err error) {
	fresh := dir + ".podd-new"
	if err := os.RemoveAll(fresh); err != nil { // of an interrupted one
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	opts := []archive.ApplyOpt{archive.WithConvertWhiteout(archive.OverlayConvertWhiteout)}
	if len(parents) > 0 {
		opts = append(opts, archive.WithParents(parents))
	}
	if _, err := archive.Apply(ctx, fresh, r, opts...); err != nil {
		return fmt.Errorf("unpack the layer: %w", err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("unpack the layer: %w", err)
	}
	if err := Sync(fresh); err != nil {
		return err
	}
	return swap(fresh, dir)
}

// swap puts fresh in dir's place, and what was there, if anything, in fresh's.
func swap(fresh, dir string) error {
	flags := uint(unix.RENAME_EXCHANGE)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		flags = unix.RENAME_NOREPLACE
	}
	if err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, flags); err != nil {
		return fmt.Errorf("put the layer into its place: %w", err)
	}
	return Sync(dir)
}

// Sync has everything of a directory's file system on disk when it returns.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return nil
}
