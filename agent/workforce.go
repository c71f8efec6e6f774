package agent

import (
	"context"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// employ starts the worker of a pod, unless it has one. A pod that was never
// looked at is rejected if the node can't take it. It runs in the keeper's
// goroutine.
func (a *Agent) employ(e *Entry, known remembered) {
	key := pod.Key{UID: e.Object.GetUID(), Namespace: e.Key.Namespace, Name: e.Key.Name}
	if a.employs(key.UID) {
		return
	}
	w := a.newWorker(key, known)
	w.memo.Durable, w.saved, w.status = known.Memo, known.Memo, known.Status
	w.memo = a.seat(e.Pod(), w.memo)
	a.hire(w)
}

func (a *Agent) newWorker(key pod.Key, known remembered) *worker {
	return &worker{
		a: a, key: key, mail: newMailbox(), looked: make(chan struct{}), flight: map[pod.Subject]*flight{},
		timeline: newTimeline(a.cfg.Tracer, key, known, time.Now()),
		log:      a.cfg.Log.With(zap.String("pod", key.Namespace+"/"+key.Name), zap.String("uid", string(key.UID))),
	}
}

// sits says whether a pod that was let in before still needs its place.
func sits(r remembered) bool {
	return !r.Memo.StartedAt.IsZero() && r.Memo.Rejected == nil && !ended(r.Memo.Phase)
}

func ended(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

// seat gives a new pod a place on the node, or rejects it. It runs in the
// keeper's goroutine.
func (a *Agent) seat(p *corev1.Pod, memo pod.Memo) pod.Memo {
	if !memo.Durable.StartedAt.IsZero() || memo.Durable.Rejected != nil {
		return memo
	}
	others := make([]*corev1.Pod, 0, len(a.seats))
	for uid, o := range a.seats {
		if uid != p.UID {
			others = append(others, o)
		}
	}
	if reason, message, ok := pod.Fits(p, others, a.cfg.Facts()); !ok {
		return pod.Reject(memo, time.Now(), reason, message)
	}
	a.seats[p.UID] = p
	return memo
}

func (a *Agent) employs(uid types.UID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.workers[uid] != nil
}

func (a *Agent) hire(w *worker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.workers[w.key.UID] != nil || a.closed {
		return
	}
	a.workers[w.key.UID] = w
	a.running.Go(func() {
		w.run(a.life)
		a.dismiss(w)
	})
}

// dismiss lets an ended worker go. If meanwhile a pod of the same uid has come,
// which found the place taken, it gets its own now.
func (a *Agent) dismiss(w *worker) {
	err := a.keeper.do(context.WithoutCancel(a.life), func() error {
		a.mu.Lock()
		delete(a.workers, w.key.UID)
		a.mu.Unlock()
		if e := a.Snapshot().podOf(w.key.UID); e != nil && w.gone {
			a.employ(e, remembered{})
		}
		return nil
	})
	if err != nil {
		a.cfg.Log.DPanic("the keeper ended before a worker", zap.Error(err))
	}
}

// dismissAll hires nobody any more and waits for all workers' ends. Run's ctx
// has ended by then, or they would not.
func (a *Agent) dismissAll() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.running.Wait()
}

// hint asks a pod's worker to look; an empty uid asks all.
func (a *Agent) hint(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if uid != "" {
		if w := a.workers[uid]; w != nil {
			w.mail.hint()
		}
		return
	}
	for _, w := range a.workers {
		w.mail.hint()
	}
}

// dropLogs asks a finished pod's worker to remove its logs; it is false when
// there is no such worker.
func (a *Agent) dropLogs(uid string, why string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.workers[types.UID(uid)]
	if w == nil {
		return false
	}
	w.mail.dropLogs(why)
	return true
}

// conditions passes conditions of somebody else's to a pod's worker and waits
// until they are on disk.
func (a *Agent) conditions(ctx context.Context, uid types.UID, all []corev1.PodCondition) error {
	a.mu.Lock()
	w := a.workers[uid]
	a.mu.Unlock()
	if w == nil {
		return errPodGone
	}
	answer := make(chan error, 1)
	w.mail.conditions(all, answer)
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
