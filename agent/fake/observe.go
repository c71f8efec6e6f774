package fake

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Observer implements agent.Observer.
type Observer struct{ s *Session }

// Observe implements agent.Observer.
func (x Observer) Observe(ctx context.Context, key pod.Key, refs []string) (seen pod.Observed, err error) {
	w := x.s.world
	err = x.s.effect(ctx, Observe, key.UID, "", func() error {
		seen.Images = map[string]pod.Image{}
		for _, ref := range refs {
			if img := w.images[ref]; img != nil {
				seen.Images[ref] = img.Image
			}
		}
		if r := w.pods[key.UID]; r != nil {
			r.show(&seen)
		}
		return nil
	})
	return seen, err
}

func (r *remains) show(seen *pod.Observed) {
	seen.Cgroup, seen.Files, seen.Logs, seen.Volumes = r.cgroup, r.files, r.logs, maps.Clone(r.volumes)
	if r.network != nil {
		n := *r.network
		seen.Network = &n
	}
	for _, s := range r.sandboxes {
		seen.Sandboxes = append(seen.Sandboxes, *s)
	}
	for _, c := range r.containers {
		seen.Containers = append(seen.Containers, c.Container)
	}
}

// Pods implements agent.Observer.
func (x Observer) Pods(ctx context.Context) (keys []pod.Key, err error) {
	w := x.s.world
	err = x.s.effect(ctx, ListPods, "", "", func() error {
		for _, r := range w.pods {
			if len(r.leftovers()) > 0 {
				keys = append(keys, r.key)
			}
		}
		return nil
	})
	slices.SortFunc(keys, func(a, b pod.Key) int { return strings.Compare(string(a.UID), string(b.UID)) })
	return keys, err
}

// ear is one stream of hints. What nobody takes in time is merged.
type ear struct {
	wake chan struct{}

	mu   sync.Mutex
	deaf bool // containerd is down: what happens is not heard
	uids map[types.UID]bool
}

func (e *ear) hear(uid types.UID) {
	e.mu.Lock()
	deaf := e.deaf
	if !deaf {
		e.uids[uid] = true
	}
	e.mu.Unlock()
	if deaf {
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// connect ends or renews the stream; after that, anything may have happened.
func (e *ear) connect(up bool) {
	e.mu.Lock()
	e.deaf = !up
	e.mu.Unlock()
	e.hear("")
}

func (e *ear) take() map[types.UID]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	uids := e.uids
	e.uids = map[types.UID]bool{}
	return uids
}

// Hint has everybody who listens hear that something may have happened to a
// pod.
func (w *World) Hint(uid types.UID) { w.hint(uid) }

// hint tells everybody who listens. The lock is not held.
func (w *World) hint(uid types.UID) {
	w.mu.Lock()
	ears := slices.Collect(maps.Keys(w.ears))
	w.mu.Unlock()
	for _, e := range ears {
		e.hear(uid)
	}
}

// Hints implements agent.Observer.
func (x Observer) Hints(ctx context.Context, hint func(types.UID)) error {
	w := x.s.world
	e := &ear{wake: make(chan struct{}, 1), uids: map[types.UID]bool{"": true}}
	e.wake <- struct{}{}
	w.mu.Lock()
	e.deaf = w.down
	w.ears[e] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.ears, e)
		w.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.wake:
			for uid := range e.take() {
				hint(uid)
			}
		}
	}
}
