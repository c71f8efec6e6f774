package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"
)

// mend sets containerd's store aside if a database of it is damaged, as a power
// cut may do it: containerd would die of it again and again, and of what is
// unpacked nothing can be found without them. Images come again, from archives
// or registries; pods start anew. It is called while containerd does not run.
func (c *Containerd) mend() error {
	databases, _ := filepath.Glob(filepath.Join(c.cfg.Root, "*", "*.db")) // the pattern is well-formed
	var damage []error
	for _, path := range databases {
		if err := readDatabase(path); err != nil {
			damage = append(damage, fmt.Errorf("%s: %w", path, err))
		}
	}
	err := errors.Join(damage...)
	if err == nil {
		return nil
	}
	aside := c.cfg.Root + ".damaged"
	if err := os.RemoveAll(aside); err != nil { // an earlier one
		return fmt.Errorf("make room for a damaged store: %w", err)
	}
	if err := os.Rename(c.cfg.Root, aside); err != nil {
		return fmt.Errorf("set a damaged store aside: %w", err)
	}
	c.cfg.Log.Error("containerd's store is damaged and was set aside: containerd begins anew, images are loaded from archives or pulled again, and pods start anew; remove the old store when you do not need it",
		zap.String("set aside", aside), zap.Error(err))
	if c.cfg.Damaged != nil {
		c.cfg.Damaged(fmt.Sprintf("containerd's store was damaged (%v) and is set aside as %s", err, aside))
	}
	// What is unpacked can be made again, and takes the most room.
	snapshots, _ := filepath.Glob(filepath.Join(aside, "io.containerd.snapshotter.*"))
	for _, dir := range snapshots {
		if err := os.RemoveAll(dir); err != nil {
			c.cfg.Log.Warn("could not remove what was unpacked in a damaged store", zap.String("directory", dir), zap.Error(err))
		}
	}
	return nil
}

// sweep removes what a containerd that was killed left of tasks it was removing:
// it renames their directories to hidden ones first, and passes those by when it
// starts. It is called while containerd does not run.
func (c *Containerd) sweep() error {
	var errs []error
	for _, dir := range []string{c.cfg.Root, c.cfg.stateDir()} {
		left, _ := filepath.Glob(filepath.Join(dir, "io.containerd.runtime.v2.task", "*", ".?*")) // the pattern is well-formed
		for _, path := range left {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// lockTime is how long a database that somebody has open is waited for.
const lockTime = time.Second

// readDatabase reads everything in a database and tells what is wrong with it.
// One that somebody has open is his.
func readDatabase(path string) (err error) {
	// A file that is too short faults in the memory that it is mapped to.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it can't be read: %v", r)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTime})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil
	}
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return readBucket(b) })
	})
}

func readBucket(b *bbolt.Bucket) error {
	return b.ForEach(func(key, value []byte) error {
		if value != nil {
			return nil
		}
		below := b.Bucket(key)
		if below == nil {
			return fmt.Errorf("bucket %q is not there", key)
		}
		return readBucket(below)
	})
}
