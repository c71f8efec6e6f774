package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// migration brings a store from one schema to the next, within the transaction
// that says so: a store is never half of either.
type migration func(*bbolt.Tx) error

// migrations are those from schema 1 to 2, from 2 to 3, and so on: one is added
// whenever the layout changes, with a store of the schema before it in testdata,
// and none is ever removed or changed.
func migrations() []migration { return nil }

// schema is what stores have after all these migrations.
func schema(steps []migration) uint64 { return uint64(len(steps)) + 1 }

// header is what a store says of itself.
type header struct {
	// schema is 0 in a new file.
	schema uint64
	// writer is the version of the podd that opened it last; empty if that didn't
	// say.
	writer string
}

func readHeader(db *bbolt.DB) (h header, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			return nil
		}
		if v := meta.Get(keySchema); len(v) == 8 {
			h.schema = binary.BigEndian.Uint64(v)
		}
		h.writer = string(meta.Get(keyWriter))
		return nil
	})
	return h, err
}

// check refuses a store that is newer than the migrations lead to.
func (h header) check(steps []migration) error {
	if h.schema <= schema(steps) {
		return nil
	}
	writer := "a newer podd"
	if h.writer != "" {
		writer += ", " + h.writer + ","
	}
	return fmt.Errorf("it was written by %s (schema %d, this one knows %d): install that version again, or restore a backup of this one's (podd restore)",
		writer, h.schema, schema(steps))
}

// bring brings a store, new or old, to the schema that the migrations lead to. The
// store of an older schema is kept beside it before, as <path>.schema<N>, for the
// way back.
func bring(db *bbolt.DB, version string, steps []migration) error {
	h, err := readHeader(db)
	if err != nil {
		return err
	}
	if err := h.check(steps); err != nil {
		return err
	}
	if h.schema != 0 && h.schema < schema(steps) {
		if err := keep(db, fmt.Sprintf("%s.schema%d", db.Path(), h.schema)); err != nil {
			return fmt.Errorf("keep a copy before its migration: %w", err)
		}
	}
	return db.Update(func(tx *bbolt.Tx) error { return migrate(tx, h, version, steps) })
}

func migrate(tx *bbolt.Tx, h header, version string, steps []migration) error {
	for _, name := range [][]byte{bucketMeta, bucketObjects, bucketMemos, bucketEvents, bucketDecisions} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	from := h.schema
	if from == 0 {
		from = schema(steps) // what is new is as it has to be
	}
	for i := from; i < schema(steps); i++ {
		if err := steps[i-1](tx); err != nil {
			return fmt.Errorf("migrate it from schema %d: %w", i, err)
		}
	}
	meta := tx.Bucket(bucketMeta)
	return errors.Join(meta.Put(keySchema, number(schema(steps))), meta.Put(keyWriter, []byte(version)))
}

// keep writes a copy of the store to a path, whole or not at all.
func keep(db *bbolt.DB, path string) error {
	return writeWhole(path, func(w io.Writer) error {
		return db.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(w)
			return err
		})
	})
}

// writeWhole writes a file that only its owner may read, whole and on disk, or not
// at all.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
