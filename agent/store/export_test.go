package store

import "go.etcd.io/bbolt"

// OpenWith opens a store with migrations of a test's.
func OpenWith(path, version string, steps ...func(*bbolt.Tx) error) (*Store, error) {
	all := make([]migration, len(steps))
	for i, step := range steps {
		all[i] = step
	}
	return openWith(path, version, all)
}

// Schema is the present one.
func Schema() uint64 { return schema(migrations()) }
