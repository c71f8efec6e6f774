package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"go.uber.org/zap/zaptest"
)

// database makes one of some pages.
func database(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("v1"))
		for i := 0; i < 2000 && err == nil; i++ {
			err = b.Put([]byte{byte(i >> 8), byte(i)}, make([]byte, 100))
		}
		_, err2 := b.CreateBucket([]byte("below"))
		return errors.Join(err, err2)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedStore: a database that a power cut has spoiled does not keep
// containerd from starting.
func TestDamagedStore(t *testing.T) {
	for name, damage := range map[string]func(path string, size int64) error{
		"cut short":      func(path string, size int64) error { return os.Truncate(path, size/2) },
		"empty":          func(path string, _ int64) error { return os.Truncate(path, 1) },
		"zeroed":         func(path string, size int64) error { return os.WriteFile(path, make([]byte, size), 0o600) },
		"zeroed in part": func(path string, size int64) error { return overwrite(path, size/4, make([]byte, size/2)) },
		"of other pages": func(path string, size int64) error { return overwrite(path, 4*4096, []byte("no page at all")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(shortDir(t), zaptest.NewLogger(t))
			var told []string
			cfg.Damaged = func(what string) { told = append(told, what) }
			path := filepath.Join(cfg.Root, "io.containerd.metadata.v1.bolt", "meta.db")
			database(t, path)
			database(t, filepath.Join(cfg.Root, "io.containerd.snapshotter.v1.overlayfs", "metadata.db"))
			c, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.mend(); err != nil || len(told) > 0 {
				t.Fatalf("a sound store: %v, %v", err, told)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path, info.Size()); err != nil {
				t.Fatal(err)
			}
			if err := c.mend(); err != nil || len(told) != 1 {
				t.Fatalf("%v, told %v", err, told)
			}
			if _, err := os.Stat(cfg.Root); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the store is still there: %v", err)
			}
			aside, err := os.ReadDir(cfg.Root + ".damaged")
			if err != nil || len(aside) != 1 || aside[0].Name() != "io.containerd.metadata.v1.bolt" {
				t.Errorf("set aside is %v, %v", aside, err)
			}
			run(t, cfg)
		})
	}
}

func overwrite(path string, at int64, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close())
}

// TestStoreInUse: nobody looks at a database that containerd has open.
func TestStoreInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	database(t, path)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := readDatabase(path); err != nil {
		t.Error(err)
	}
}
