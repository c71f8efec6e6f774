package store_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/types"
)

// BenchmarkPutMemo is what made the choice: the store's own writer against
// bbolt's Batch, with one pod and with a hundred that write at once.
func BenchmarkPutMemo(b *testing.B) {
	memo := bytes.Repeat([]byte("x"), 4000)
	for _, writers := range []int{1, 100} {
		b.Run(fmt.Sprintf("own/%d", writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "podd.db"))
			defer s.Close()
			each(b, writers, func(i int) error { return s.PutMemo(types.UID(fmt.Sprint(i)), memo) })
		})
		b.Run(fmt.Sprintf("batch/%d", writers), func(b *testing.B) {
			db, err := bbolt.Open(filepath.Join(b.TempDir(), "podd.db"), 0o600, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			each(b, writers, func(i int) error {
				return db.Batch(func(tx *bbolt.Tx) error {
					memos, err := tx.CreateBucketIfNotExists([]byte("memos"))
					if err != nil {
						return err
					}
					return memos.Put(fmt.Append(nil, i), memo)
				})
			})
		})
	}
}

func each(b *testing.B, writers int, put func(int) error) {
	b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i = (i + 1) % 100 {
			if err := put(i); err != nil {
				b.Error(err)
			}
		}
	})
}
