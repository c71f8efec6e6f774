package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// Backup writes the store as it is now, while it is in use, and the SHA-256 of that,
// by which Restore knows that it is whole. All there is is in it, the values of
// Secrets too. However slow w is, writes to the store don't wait for it: what is
// copied to w is a copy.
func (s *Store) Backup(w io.Writer) error {
	f, err := os.CreateTemp(filepath.Dir(s.db.Path()), "backup-*")
	if err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil { // it goes with its last user
		return fmt.Errorf("back up the store: %w", err)
	}
	if err := s.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(f)
		return err
	}); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), f); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// Contents are what a backup has.
type Contents struct {
	Objects, Pods int
	// Writer is the version of podd that it is of; empty if that didn't say.
	Writer string
}

// ErrThere: there is a store where one is to be restored.
var ErrThere = errors.New("there is a store already")

// revisionGap is what a restored store's revision is ahead of the backup's, so that
// none is given out a second time that somebody has seen after the backup.
const revisionGap = 1 << 32

// Restore makes the store at path from a backup, once it is found good; podd is not
// to run. A store that is there is ErrThere, or with force kept as
// <path>.before-restore.
func Restore(backup, path string, force bool) (Contents, error) {
	if _, err := os.Stat(path); err == nil && !force {
		return Contents{}, fmt.Errorf("restore %s: %w", path, ErrThere)
	}
	staged := path + ".restoring"
	defer func() { _ = os.Remove(staged) }() // unless it was renamed
	if err := writeWhole(staged, func(w io.Writer) error { return unpack(backup, w) }); err != nil {
		return Contents{}, fmt.Errorf("read the backup %s: %w", backup, err)
	}
	c, err := inspect(staged)
	if err != nil {
		return Contents{}, fmt.Errorf("the backup %s is not good: %w", backup, err)
	}
	if err := os.Rename(path, path+".before-restore"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Contents{}, fmt.Errorf("restore %s: %w", path, err)
	}
	if err := errors.Join(os.Rename(staged, path), syncDir(filepath.Dir(path))); err != nil {
		return Contents{}, fmt.Errorf("restore %s: %w", path, err)
	}
	return c, nil
}

// unpack writes the store that is in a backup.
func unpack(backup string, w io.Writer) error {
	f, err := os.Open(backup)
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	sum := sha256.New()
	size := max(0, stat.Size()-sha256.Size)
	if _, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(f, size)); err != nil {
		return err
	}
	if want, err := io.ReadAll(f); err != nil || !bytes.Equal(want, sum.Sum(nil)) {
		return errors.Join(errors.New("it is no backup of podd's, or not whole: its checksum is wrong"), err)
	}
	return nil
}

// inspect reads all of a copied store, and moves its revision on.
func inspect(path string) (c Contents, err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return Contents{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	h, err := readHeader(db)
	if err != nil {
		return Contents{}, err
	}
	if h.schema == 0 {
		return Contents{}, errors.New("it is no store of podd's")
	}
	if err := h.check(migrations()); err != nil {
		return Contents{}, err
	}
	c.Writer = h.writer
	err = db.Update(func(tx *bbolt.Tx) error {
		if err := whole(tx); err != nil {
			return err
		}
		meta := tx.Bucket(bucketMeta)
		var revision uint64
		if v := meta.Get(keyRevision); len(v) == 8 {
			revision = binary.BigEndian.Uint64(v)
		}
		if err := meta.Put(keyRevision, number(revision+revisionGap)); err != nil {
			return err
		}
		return tx.Bucket(bucketObjects).ForEach(func(k, v []byte) error {
			rec, err := decode(k, v)
			c.Objects++
			if rec.Key.Kind == "Pod" {
				c.Pods++
			}
			return err
		})
	})
	return c, err
}

// whole tells whether all pages of a file are what they have to be.
func whole(tx *bbolt.Tx) (first error) {
	for err := range tx.Check() { // to its end: it reads meanwhile
		if first == nil {
			first = err
		}
	}
	return first
}
