package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// running marks, as long as its file is there, that podd was not stopped in
// order: it is made at the start and removed at an orderly end. A power cut
// leaves it, and so does SIGKILL.
type running struct{ path string }

// begin makes the mark, on disk when it returns, and tells whether the one of an
// earlier podd was still there.
func begin(root string) (r running, unclean bool, err error) {
	r = running{filepath.Join(root, "running")}
	_, err = os.Stat(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, false, fmt.Errorf("look how podd was stopped: %w", err)
	}
	unclean = err == nil
	if err := os.WriteFile(r.path, []byte("podd removes this file when it is stopped in order\n"), 0o644); err != nil {
		return r, false, fmt.Errorf("mark that podd runs: %w", err)
	}
	return r, unclean, r.sync()
}

func (r running) sync() error {
	dir, err := os.Open(filepath.Dir(r.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Fsync(int(dir.Fd()))
}

// end removes the mark.
func (r running) end() error { return os.Remove(r.path) }
