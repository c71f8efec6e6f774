package agent_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// alive waits until the agent says so, or that something is stuck.
func (r *rig) alive(t *testing.T, within time.Duration, want string) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(time.Second) {
		err := r.life.agent.Alive()
		switch {
		case err == nil && want == "", err != nil && want != "" && strings.Contains(err.Error(), want):
			return
		case time.Now().After(end):
			t.Fatalf("alive: %v, want %q", err, want)
		}
	}
}

// TestAStuckWorkerIsNoticed, and no more once it goes on: it hangs where nothing
// bounds the time, as a defect would have it.
func TestAStuckWorkerIsNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var stuck atomic.Bool
		release := make(chan struct{})
		r.reconfigure = func(c *agent.Config) {
			facts := c.Facts
			c.Facts = func() pod.Node {
				if stuck.CompareAndSwap(true, false) {
					<-release
				}
				return facts()
			}
		}
		r.restart()
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.pass(10 * time.Minute)
		r.alive(t, 0, "")
		stuck.Store(true)
		r.alive(t, 5*time.Minute, "the worker of pod default/web has made no progress for 3m")
		close(release)
		r.alive(t, time.Minute, "")
	})
}

// TestWhatIsWaitedForIsNoReasonToDie: a runtime that hangs, in actions and in
// looks at pods.
func TestWhatIsWaitedForIsNoReasonToDie(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		var hangs atomic.Bool
		r.reconfigure = func(c *agent.Config) {
			c.Observer = hanging{c.Observer, &hangs}
		}
		r.restart()
		hangs.Store(true)
		for range 20 {
			r.pass(time.Minute)
			r.alive(t, 0, "")
		}
		hangs.Store(false)
	})
}

// hanging answers when its caller's patience is over.
type hanging struct {
	agent.Observer
	hangs *atomic.Bool
}

func (h hanging) Observe(ctx context.Context, key pod.Key, refs []string) (pod.Observed, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return pod.Observed{}, ctx.Err()
	}
	return h.Observer.Observe(ctx, key, refs)
}

// slowStore hangs until it is released.
type slowStore struct {
	agent.Store
	release chan struct{}
}

func (s slowStore) Commit(c store.Change) error {
	if len(c.Put) > 0 {
		<-s.release
	}
	return s.Store.Commit(c)
}

// TestAStuckKeeperIsNoticed: it hangs in its store, which a full queue of a dead
// disk could do.
func TestAStuckKeeperIsNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.reconfigure = func(c *agent.Config) { c.Store = slowStore{c.Store, release} }
		r.restart()
		r.pass(10 * time.Minute)
		r.alive(t, 0, "") // it has nothing to do
		applied := make(chan struct{})
		go func() { defer close(applied); r.apply(podNamed("web", func(p *corev1.Pod) { p.Namespace = "slow" })) }()
		r.alive(t, 5*time.Minute, "the keeper of objects has made no progress for 3m")
		close(release)
		<-applied
		r.alive(t, time.Minute, "")
	})
}
