package metrics

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
)

// Store counts what is written to podd's store.
type Store struct {
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
}

// NewStore counts from zero.
func NewStore() *Store {
	s := &Store{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "podd_store_commit_duration_seconds", Help: "How long it took until what was to be stored was on disk, the wait for other writes included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"what"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podd_store_commit_errors_total", Help: "How many writes to the store failed.",
		}, []string{"what"}),
	}
	for _, what := range []string{"objects", "memo", "events"} {
		s.duration.WithLabelValues(what)
		s.errors.WithLabelValues(what)
	}
	return s
}

// Wrote counts one write of objects, a memo or events.
func (s *Store) Wrote(what string, took time.Duration, err error) {
	s.duration.WithLabelValues(what).Observe(took.Seconds())
	if err != nil {
		s.errors.WithLabelValues(what).Inc()
	}
}

// disk is what podd has and does on disk.
type disk struct {
	store         *int64 // bytes; nil while there is none
	written, read uint64 // bytes
}

// readDisk asks the file system and the kernel.
func readDisk(storePath string) (d disk, err error) {
	info, missing := os.Stat(storePath)
	if missing == nil {
		size := info.Size()
		d.store = &size
	} else if !errors.Is(missing, os.ErrNotExist) {
		err = missing
	}
	self, wrong := procfs.Self()
	if wrong == nil {
		var io procfs.ProcIO
		if io, wrong = self.IO(); wrong == nil {
			d.written, d.read = io.WriteBytes, io.ReadBytes
		}
	}
	if wrong != nil {
		err = errors.Join(err, fmt.Errorf("read what podd has written: %w", wrong))
	}
	return d, err
}

// onDisk are its metrics.
func onDisk() []metric[disk] {
	return []metric[disk]{
		{"podd_store_size_bytes", "How big the file of podd's store is.", gauge, nil, func(d disk) []sample {
			if d.store == nil {
				return nil
			}
			return []sample{{nil, float64(*d.store)}}
		}},
		{"podd_disk_written_bytes_total", "How much this podd made the kernel write to disk: its store, containers' logs, volumes.", counter, nil,
			func(d disk) []sample { return []sample{{nil, float64(d.written)}} }},
		{"podd_disk_read_bytes_total", "How much this podd made the kernel read from disk.", counter, nil,
			func(d disk) []sample { return []sample{{nil, float64(d.read)}} }},
	}
}
