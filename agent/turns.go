package agent

import (
	"math"

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
	containers, execs, free *semaphore.Weighted
}

func newTurns(l Limits) turns {
	bound := func(n, otherwise int64) *semaphore.Weighted {
		if n == 0 {
			n = otherwise
		}
		return semaphore.NewWeighted(n)
	}
	return turns{
		containers: bound(l.Containers, 4), execs: bound(l.Execs, 8),
		free: semaphore.NewWeighted(math.MaxInt64),
	}
}

func (t turns) of(a pod.Action) *semaphore.Weighted {
	switch a.Kind {
	case pod.CreateSandbox, pod.RemoveSandbox, pod.SetupNetwork, pod.RemoveNetwork,
		pod.CreateContainer, pod.StartContainer, pod.ReapContainer, pod.RemoveContainer:
		return t.containers
	case pod.RunProbe:
		if a.Probe.Handler.Exec != nil {
			return t.execs
		}
	case pod.CreateCgroup, pod.RemoveCgroup, pod.SetupVolume, pod.RemoveVolumes, pod.SignalContainer, pod.RemoveLogs,
		pod.PullImage, pod.RunHook:
	}
	return t.free
}
