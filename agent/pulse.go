package agent

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// stuckAfter is how long one of podd's own goroutines may go without progress.
// What it waits for in the world is bounded by less: a look at a pod by
// observeTime, and actions run elsewhere.
const stuckAfter = 3 * time.Minute

// pulse is the sign of life of a goroutine that has to make progress: it beats
// whenever it goes on, and rests when nothing is expected of it. The zero value
// rests.
type pulse struct {
	// since is when it last beat; nil while it rests.
	since atomic.Pointer[time.Time]
}

func (p *pulse) beat() { now := time.Now(); p.since.Store(&now) }
func (p *pulse) rest() { p.since.Store(nil) }

// silent is how long it has not beaten, by the monotonic clock, which no change
// of the time moves; 0 while it rests.
func (p *pulse) silent(now time.Time) time.Duration {
	since := p.since.Load()
	if since == nil {
		return 0
	}
	return now.Sub(*since)
}

// owner is a goroutine that owns a part of podd's state, as it is judged.
type owner struct {
	name   string
	silent time.Duration
}

// judge tells who makes no progress any more; nil if all do.
func judge(owners []owner) error {
	var errs []error
	slices.SortFunc(owners, func(a, b owner) int { return int(b.silent - a.silent) })
	for _, o := range owners {
		if o.silent > stuckAfter {
			errs = append(errs, fmt.Errorf("%s has made no progress for %s", o.name, o.silent.Round(time.Second)))
		}
	}
	return errors.Join(errs...)
}

// Alive tells which of the goroutines that own something make no progress any
// more: nothing that is waited for, a hung containerd among it, is a reason; a
// defect in podd is. It takes no lock that they could hold for ever.
func (a *Agent) Alive() error {
	now := time.Now()
	owners := []owner{{"the keeper of objects", a.keeper.pulse.silent(now)}}
	a.pulses.Range(func(p, name any) bool {
		owners = append(owners, owner{"the worker of pod " + name.(string), p.(*pulse).silent(now)})
		return true
	})
	return judge(owners)
}
