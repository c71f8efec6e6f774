package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// relist is how often a pod is looked at although nothing was heard of it:
// events are hints, this is the truth.
const relist = 30 * time.Second

// worker owns one pod's memo. Its loop: wait for news, observe, decide,
// persist, act, publish.
type worker struct {
	a    *Agent
	key  pod.Key
	mail *mailbox
	log  *zap.Logger
	// orphan is set for a pod that the store does not know: only its remains
	// are known, and they are to go.
	orphan *pod.Deletion

	// Owned by the goroutine of run.
	memo   pod.Memo
	saved  pod.Durable // what is on disk
	flight map[pod.Subject]*flight
	events []pod.Event // not published yet
	// trouble is the last thing that kept the loop from deciding, said once.
	trouble  string
	failures int
}

// flight is an action under way.
type flight struct {
	action pod.Action
	cancel context.CancelFunc
	// cancelled: its result is dropped.
	cancelled bool
}

// run is the worker's loop, until the pod is gone or ctx ends. Actions under
// way at its end have ended, too.
func (w *worker) run(ctx context.Context) {
	defer w.land()
	for {
		next, gone := w.step(ctx)
		if gone {
			return
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.mail.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// step looks once and acts; it tells when to look again at the latest.
func (w *worker) step(ctx context.Context) (next time.Duration, gone bool) {
	now := time.Now()
	w.events = append(w.events, w.fold(now)...)
	p, deletion := w.wish()
	if p == nil {
		return 0, true
	}
	seen, err := w.observe(ctx, p)
	if err != nil {
		return w.retry(ctx, "could not look at the pod", err), false
	}
	out := pod.Decide(pod.Input{
		Now: now, Pod: p, Deleted: deletion, Memo: w.memo, Seen: seen, Node: w.a.nodeFacts(),
		Refs:     refs(w.a.keeper.now.Load(), p),
		InFlight: slices.Sorted(maps.Keys(w.flight)),
	})
	w.memo = out.Memo
	if err := w.persist(); err != nil {
		return w.retry(ctx, "could not store what is remembered of the pod", err), false
	}
	w.settled()
	w.act(ctx, out.Do)
	if w.orphan == nil {
		w.a.publish(ctx, w.key, out.Status, append(w.events, out.Events...))
	}
	w.events = nil
	if out.Gone {
		return 0, w.leave(ctx)
	}
	return until(out.Wake, now), false
}

func until(wake, now time.Time) time.Duration {
	if wake.IsZero() {
		return relist
	}
	return min(max(wake.Sub(now), time.Millisecond), relist)
}

// fold takes finished actions and others' conditions into the memo.
func (w *worker) fold(now time.Time) []pod.Event {
	results, conditions := w.mail.take()
	var events []pod.Event
	for _, r := range results {
		f := w.flight[r.Action.Subject]
		delete(w.flight, r.Action.Subject)
		if f != nil && f.cancelled {
			continue
		}
		w.note(r)
		var more []pod.Event
		w.memo, more = pod.Apply(w.memo, now, r)
		events = append(events, more...)
	}
	for _, c := range conditions {
		w.memo = pod.WithCondition(w.memo, now, c)
	}
	return events
}

// note logs an action that failed. The core decides when it is tried again,
// with growing pauses, so that this does not flood.
func (w *worker) note(r pod.Result) {
	if r.Err == nil {
		return
	}
	w.log.Warn("action failed", zap.String("kind", string(r.Action.Kind)), zap.String("subject", string(r.Action.Subject)),
		zap.Int("attempt", r.Action.Attempt), zap.Duration("took", r.Finished.Sub(r.Started)), zap.String("error", r.Err.Message))
}

// wish is the pod as it is wanted; nil when it has left already.
func (w *worker) wish() (*corev1.Pod, *pod.Deletion) {
	if w.orphan != nil {
		p := &corev1.Pod{}
		p.UID, p.Namespace, p.Name = w.key.UID, w.key.Namespace, w.key.Name
		return p, w.orphan
	}
	e := w.a.keeper.now.Load().Get(podKey(w.key))
	if e == nil || e.Object.GetUID() != w.key.UID {
		return nil, nil
	}
	return e.Pod(), deletionOf(e)
}

// observe reads what exists of the pod.
func (w *worker) observe(ctx context.Context, p *corev1.Pod) (pod.Observed, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	return w.a.cfg.Observer.Observe(ctx, w.key, imageRefs(p))
}

// persist writes the durable memo if it changed, before anything that follows
// from it is started.
func (w *worker) persist() error {
	if w.orphan != nil || w.memo.Durable.Equal(w.saved) {
		return nil
	}
	text, err := json.Marshal(w.memo.Durable)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if err := w.a.cfg.Store.PutMemo(w.key.UID, text); err != nil {
		return err
	}
	w.saved = w.memo.Durable
	return nil
}

// act starts what is wanted and not under way, and cancels what is under way
// and no longer wanted, where that may be.
func (w *worker) act(ctx context.Context, wanted []pod.Action) {
	want := map[pod.Subject]pod.Kind{}
	for _, a := range wanted {
		want[a.Subject] = a.Kind
	}
	for subject, f := range w.flight {
		if f.action.Kind.Cancelable() && want[subject] != f.action.Kind {
			f.cancelled = true
			f.cancel()
		}
	}
	for _, a := range wanted {
		if w.flight[a.Subject] == nil {
			w.start(ctx, a)
		}
	}
}

// start starts an action. What may not be cancelled is finished even when podd
// stops: a removal half done would be found, but a started container would go
// unread until the next start.
func (w *worker) start(stop context.Context, a pod.Action) {
	ctx := stop
	if !a.Kind.Cancelable() {
		ctx = context.WithoutCancel(stop)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline(a))
	w.flight[a.Subject] = &flight{action: a, cancel: cancel}
	w.log.Debug("starting action", zap.String("kind", string(a.Kind)), zap.String("subject", string(a.Subject)),
		zap.Int("attempt", a.Attempt), zap.String("reason", a.Reason))
	w.a.actions.Go(func() {
		defer cancel()
		w.mail.done(w.a.carryOut(ctx, stop, w.key, a))
	})
}

// land waits for what is under way, when the loop has ended.
func (w *worker) land() {
	for len(w.flight) > 0 {
		<-w.mail.wake
		results, _ := w.mail.take()
		for _, r := range results {
			delete(w.flight, r.Action.Subject)
		}
	}
}

// leave lets the pod's object go, once nothing is left of it.
func (w *worker) leave(ctx context.Context) bool {
	if w.orphan != nil {
		return true
	}
	if err := w.a.remove(ctx, w.key); err != nil {
		w.retry(ctx, "could not remove the pod's object", err)
		return false
	}
	return true
}

// retry notes a trouble, once, and tells when to try again.
func (w *worker) retry(ctx context.Context, what string, err error) time.Duration {
	w.failures++
	wait := min(time.Second<<min(w.failures-1, 5), relist)
	if text := what + ": " + err.Error(); text != w.trouble && ctx.Err() == nil {
		w.trouble = text
		w.log.Error(what+"; what runs goes on, and it is tried again", zap.Duration("in", wait), zap.Error(err))
	}
	return wait
}

func (w *worker) settled() {
	if w.trouble != "" {
		w.log.Info("the trouble is over", zap.String("was", w.trouble))
	}
	w.trouble, w.failures = "", 0
}
