package pod_test

import (
	"testing"
	"time"

	"github.com/podd-io/podd/pod"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	things := []pod.Collectable{
		{ID: "young", Since: now.Add(-time.Minute)},
		{ID: "older", Since: now.Add(-time.Hour)},
		{ID: "oldest", Since: now.Add(-2 * time.Hour)},
	}
	policy := pod.CollectPolicy{High: 85, Low: 80}
	for name, c := range map[string]struct {
		used           int64 // percent
		freeing        bool
		minAge, maxAge time.Duration
		unneeded       []pod.Collectable

		victim, reason string
		stillFreeing   bool
	}{
		"there is room":                {used: 84, unneeded: things},
		"it is full":                   {used: 85, unneeded: things, victim: "oldest", reason: "space", stillFreeing: true},
		"it was full":                  {used: 81, freeing: true, unneeded: things, victim: "oldest", reason: "space", stillFreeing: true},
		"it has become empty enough":   {used: 80, freeing: true, unneeded: things},
		"it was not full":              {used: 81, unneeded: things},
		"all is too young":             {used: 99, minAge: 3 * time.Hour, unneeded: things, stillFreeing: true},
		"one is old enough":            {used: 99, minAge: 90 * time.Minute, unneeded: things, victim: "oldest", reason: "space", stillFreeing: true},
		"there is nothing":             {used: 99, stillFreeing: true},
		"one is too old":               {used: 10, maxAge: 2 * time.Hour, unneeded: things, victim: "oldest", reason: "age"},
		"none is too old":              {used: 10, maxAge: 3 * time.Hour, unneeded: things},
		"too old, and full at the end": {used: 99, minAge: 9 * time.Hour, maxAge: time.Hour, unneeded: things, victim: "oldest", reason: "age", stillFreeing: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := pod.Collection{
				Now: now, Policy: policy, Disk: pod.FileSystem{Capacity: 1000, Available: 1000 - 10*c.used}, Freeing: c.freeing,
				MinAge: c.minAge, MaxAge: c.maxAge, Unneeded: c.unneeded,
			}
			victim, reason, _, freeing := pod.Collect(in)
			got := ""
			if victim != nil {
				got = victim.ID
			}
			if got != c.victim || reason != c.reason || freeing != c.stillFreeing {
				t.Errorf("removes %q for %q, freeing %v", got, reason, freeing)
			}
		})
	}
	off := pod.Collection{Now: now, Disk: pod.FileSystem{Capacity: 100}, Unneeded: things}
	if victim, _, _, freeing := pod.Collect(off); victim != nil || freeing {
		t.Errorf("without a threshold it removes %v", victim)
	}
}

func TestFileSystem(t *testing.T) {
	t.Parallel()
	for f, want := range map[pod.FileSystem][2]int64{
		{}: {0, 0}, {Capacity: 1000, Available: 999}: {1, 0}, {Capacity: 1000, Available: 150}: {85, 50}, {Capacity: 1000, Available: 149}: {86, 51},
	} {
		if f.Percent() != int(want[0]) || f.Excess(80) != want[1] {
			t.Errorf("%+v: %d%%, %d too many", f, f.Percent(), f.Excess(80))
		}
	}
}
