package agent

import (
	"cmp"
	"context"
	"math"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/podd-io/podd/pod"
)

// Limits bound what is under way at once on the whole node. 0 means the
// default.
type Limits struct {
	// Containers bounds the making and removing of sandboxes, networks and
	// containers; the default is 4. Measured on 2 cores: more at once gains
	// nothing and makes each one slower.
	Containers int64
	// Execs bounds probes that run a program in a container; the default is 8.
	Execs int64
}

// turns are what actions wait for, first come first served. What is light, or
// must not come late (signals, network probes), never waits; nor do pulls, whose
// port has them wait their turn.
type turns struct {
	containers, execs, pulls, light *turn
}

func newTurns(l Limits) turns {
	return turns{
		containers: newTurn(cmp.Or(l.Containers, 4)), execs: newTurn(cmp.Or(l.Execs, 8)),
		pulls: newTurn(math.MaxInt64), light: newTurn(math.MaxInt64),
	}
}

// turn is a bound that knows how many wait for it.
type turn struct {
	bound           *semaphore.Weighted
	waiting, having atomic.Int64
}

func newTurn(bound int64) *turn { return &turn{bound: semaphore.NewWeighted(bound)} }

// take waits for a turn; the caller gives it back.
func (t *turn) take(ctx context.Context) error {
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	if err := t.bound.Acquire(ctx, 1); err != nil {
		return err
	}
	t.having.Add(1)
	return nil
}

func (t *turn) giveBack() {
	t.having.Add(-1)
	t.bound.Release(1)
}

func (t turns) of(a pod.Action) *turn {
	switch a.Kind {
	case pod.CreateSandbox, pod.RemoveSandbox, pod.SetupNetwork, pod.RemoveNetwork,
		pod.CreateContainer, pod.StartContainer, pod.ReapContainer, pod.RemoveContainer:
		return t.containers
	case pod.RunProbe:
		if a.Probe.Handler.Exec != nil {
			return t.execs
		}
	case pod.PullImage:
		return t.pulls
	case pod.CreateCgroup, pod.RemoveCgroup, pod.SetupVolume, pod.RemoveVolumes, pod.SignalContainer, pod.RemoveLogs, pod.RunHook:
	}
	return t.light
}

// Load is how much podd has to do now.
type Load struct {
	// Actions by what they have in common: container, exec, pull, and light for
	// the rest.
	Actions map[string]Queue
	// Watches are open, and Unread the changes that wait for their readers.
	Watches, Unread int64
}

// Queue is how many have their turn, and how many wait for it.
type Queue struct{ Running, Waiting int64 }

// Load takes no lock.
func (a *Agent) Load() Load {
	queue := func(t *turn) Queue { return Queue{t.having.Load(), t.waiting.Load()} }
	return Load{
		Actions: map[string]Queue{
			"container": queue(a.turns.containers), "exec": queue(a.turns.execs), "pull": queue(a.turns.pulls), "light": queue(a.turns.light),
		},
		Watches: a.keeper.room.readers.Load(), Unread: a.keeper.room.queued.Load(),
	}
}
