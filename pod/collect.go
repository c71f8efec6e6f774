package pod

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// CollectPolicy says when what nobody needs is removed to have room on disk.
// The percentages are of a file system that are used: above High podd removes
// until it is at Low. The names and defaults are a kubelet's.
type CollectPolicy struct {
	High, Low int
	// MinAge is how long an image has to be unused before it goes for want of
	// room; MaxAge how long it may be unused at most, 0 for ever.
	MinAge, MaxAge time.Duration
	// LogMaxAge is how long the logs of a finished pod are kept at most, 0 for
	// ever.
	LogMaxAge time.Duration
}

// FileSystem is how full one is, in bytes. Available is what podd may still
// take.
type FileSystem struct{ Capacity, Available int64 }

// Percent is how much of it is used, rounded up; 0 for one of no size.
func (f FileSystem) Percent() int {
	if f.Capacity <= 0 {
		return 0
	}
	return int((100*(f.Capacity-f.Available) + f.Capacity - 1) / f.Capacity)
}

// Excess is how many bytes are used beyond a percentage.
func (f FileSystem) Excess(percent int) int64 {
	return max(0, f.Capacity-f.Available-f.Capacity/100*int64(percent))
}

// Collectable is something that nobody needs.
type Collectable struct {
	// ID tells it from the others.
	ID string
	// Since is when it was last needed.
	Since time.Time
	// Size in bytes is what its removal gives at most.
	Size int64
}

// Why something is removed, as metrics name it.
const (
	CollectedForAge   = "age"
	CollectedForSpace = "space"
)

// Collection is what a decision to remove something is made from.
type Collection struct {
	Now    time.Time
	Policy CollectPolicy
	Disk   FileSystem
	// Freeing says that High was reached, and Low has not been since.
	Freeing bool
	// MinAge and MaxAge are the policy's for this sort of thing.
	MinAge, MaxAge time.Duration
	Unneeded       []Collectable
}

// Collect chooses one thing to remove: what is too old first, then, while disk
// is short, what was not needed the longest. It is nil when there is none.
// freeing is for the next Collection; message says for people why.
func Collect(in Collection) (victim *Collectable, reason, message string, freeing bool) {
	used := in.Disk.Percent()
	freeing = in.Policy.High > 0 && (used >= in.Policy.High || in.Freeing && used > in.Policy.Low)
	all := slices.SortedFunc(slices.Values(in.Unneeded), func(a, b Collectable) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	if len(all) == 0 {
		return nil, "", "", freeing
	}
	oldest := &all[0]
	idle := in.Now.Sub(oldest.Since)
	switch {
	case in.MaxAge > 0 && idle >= in.MaxAge:
		return oldest, CollectedForAge, fmt.Sprintf("nothing needed it for %s", idle.Round(time.Second)), freeing
	case freeing && idle >= in.MinAge:
		return oldest, CollectedForSpace, fmt.Sprintf("its file system is %d%% full, and nothing needed it for %s", used, idle.Round(time.Second)), freeing
	}
	return nil, "", "", freeing
}
