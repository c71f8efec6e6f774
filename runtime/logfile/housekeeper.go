package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// housekeeper keeps one log's rotated files within bounds, away from the
// writing: compressing takes time that the container must not wait for.
type housekeeper struct {
	path string
	// keep is how many rotated files may stay.
	keep int
	// turn is had by one who compresses.
	turn  chan struct{}
	wake  chan struct{}
	done  chan struct{}
	warns func(error)
}

func (h *housekeeper) run() {
	defer close(h.done)
	h.sweep()
	for range h.wake {
		all, err := listRotated(h.path)
		if err != nil {
			h.later(err)
			continue
		}
		for _, r := range all[:max(0, len(all)-1)] { // whoever reads the log may be at the last one still
			if r.compressed {
				continue
			}
			h.turn <- struct{}{}
			err := r.compress()
			<-h.turn
			h.later(err)
		}
		h.later(trim(h.path, h.keep))
	}
}

// later warns of what is tried again.
func (h *housekeeper) later(err error) {
	if err != nil {
		h.warns(fmt.Errorf("could not tidy up what was rotated; it is tried again with the next rotation: %w", err))
	}
}

func (h *housekeeper) warn(err error) {
	if err != nil {
		h.warns(err)
	}
}

// sweep removes what a crash left of compressing.
func (h *housekeeper) sweep() {
	left, _ := filepath.Glob(h.path + ".*" + tmpSuffix) // the pattern is well-formed
	for _, path := range left {
		h.warn(removeIfThere(path))
		plain := strings.TrimSuffix(path, gzSuffix+tmpSuffix)
		if _, err := os.Stat(plain); err == nil {
			h.warn(removeIfThere(plain + gzSuffix))
		}
	}
}

// trim removes the oldest rotated files beyond those to keep.
func trim(path string, keep int) error {
	all, err := listRotated(path)
	if err != nil {
		return err
	}
	for _, r := range all[:max(0, len(all)-keep)] {
		if err := r.remove(); err != nil {
			return err
		}
	}
	return nil
}
