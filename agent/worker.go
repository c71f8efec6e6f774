package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// relist is about how often a pod is looked at although nothing was heard of
// it: events are hints, this is the truth.
const relist = 30 * time.Second

// worker owns one pod's memo. Its loop: wait for news, observe, decide,
// persist, act, publish.
type worker struct {
	a    *Agent
	key  pod.Key
	mail *mailbox
	log  *zap.Logger
	// pulse beats with every step; a step comes with every relist at the latest.
	pulse pulse
	// orphan is set for a pod that the store does not know: only its remains
	// are known, and they are to go.
	orphan *pod.Deletion
	// looked is closed when the first look is over, well or not.
	looked chan struct{}
	// timeline is the pod's last start.
	timeline *timeline

	// Owned by the goroutine of run.
	memo   pod.Memo
	saved  pod.Durable // what is on disk
	status corev1.PodStatus
	flight map[pod.Subject]*flight
	events []pod.Event // not published yet
	// ended are results since the last account; told is what it told.
	ended   []pod.Result
	told    pod.Picture
	answers []chan<- error
	// dropLogs is why the logs of the finished pod are to go, once it was asked.
	dropLogs string
	gone     bool
	trouble  trouble
	rounds   rounds
}

// flight is an action under way.
type flight struct {
	action pod.Action
	cancel context.CancelFunc
	// wanted is when it was started, began when its turn came.
	wanted time.Time
	began  atomic.Pointer[time.Time]
	// start is the attempt of the pod's start that it belongs to, or noStart.
	start int
	// cancelled: its result is dropped.
	cancelled bool
}

// run is the worker's loop, until the pod is gone or ctx ends. Actions under
// way at its end have ended, too.
func (w *worker) run(ctx context.Context) {
	w.a.pulses.Store(&w.pulse, w.key.Namespace+"/"+w.key.Name)
	defer w.a.pulses.Delete(&w.pulse)
	defer w.land()
	next := w.step(ctx)
	close(w.looked)
	for !w.gone && w.wait(ctx, next) {
		next = w.step(ctx)
	}
}

// wait lets the time pass, or until there is news. In trouble news have to wait
// a moment: they must not make the worker spin.
func (w *worker) wait(ctx context.Context, d time.Duration) bool {
	if w.trouble.failures > 0 && !sleep(ctx, breather) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.mail.wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// step looks once and acts; it tells when to look again at the latest.
func (w *worker) step(ctx context.Context) time.Duration {
	w.pulse.beat()
	w.fold(time.Now())
	p, deletion := w.wish()
	if p == nil {
		w.gone = true
		return 0
	}
	look := w.look(deletion)
	defer func() { w.looksBack(look) }()
	seen, err := w.observe(ctx, p)
	look.Observing = time.Since(w.rounds.began)
	if err != nil {
		w.answer(w.persist(w.memo, w.status, pod.Account{})) // what was learned is kept all the same
		return w.retry(ctx, "could not look at the pod", err)
	}
	now := time.Now()
	in := pod.Input{
		Now: now, Pod: p, Deleted: deletion, Memo: w.memo, Seen: seen, Node: w.a.cfg.Facts(),
		Refs:     w.refs(ctx, p),
		Shutdown: w.turn(now, p),
		InFlight: slices.Sorted(maps.Keys(w.flight)),
		DropLogs: w.dropLogs,
	}
	out := pod.Decide(in)
	account, told := pod.Explain(w.told, in, out, w.ended)
	if w.orphan == nil {
		w.timeline.see(now, &out.Memo.Durable, &out.Status, deletion != nil)
	}
	if err := w.persist(out.Memo, out.Status, account); err != nil {
		// The decision never was: the next one will be the same.
		w.answer(err)
		return w.retry(ctx, "could not store what is remembered of the pod", err)
	}
	w.memo, w.status = out.Memo, out.Status
	w.told, w.ended = told, nil
	w.settled()
	w.act(ctx, out.Do)
	w.publish(ctx, out.Events)
	w.answer(nil)
	if out.Gone {
		return w.leave(ctx)
	}
	return w.until(out.Wake)
}

// refs are what the pod refers to, other pods and the host among it.
func (w *worker) refs(ctx context.Context, p *corev1.Pod) pod.Refs {
	snap := w.a.Snapshot()
	out := refs(snap, p)
	out.Standings = w.a.standings(ctx, snap, pod.Held(p, w.memo))
	out.EndFirst = endFirst(snap, p)
	return out
}

// turn is how the pod is to end with the machine; nil while that stays up.
func (w *worker) turn(now time.Time, p *corev1.Pod) *pod.Shutdown {
	if w.orphan != nil {
		return nil
	}
	return w.a.turn(now, w.a.Snapshot(), p)
}

func (w *worker) until(wake time.Time) time.Duration {
	period := w.relistPeriod()
	if wake.IsZero() {
		return period
	}
	return min(max(time.Until(wake), time.Millisecond), period)
}

// relistPeriod differs from pod to pod by a third, so that they do not all look
// at once.
func (w *worker) relistPeriod() time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.key.UID)) // it never fails
	return relist - relist/3*time.Duration(h.Sum32()%1000)/1000
}

// fold takes finished actions and others' conditions into the memo.
func (w *worker) fold(now time.Time) {
	got := w.mail.take()
	for _, o := range got.outcomes {
		f := w.flight[o.Action.Subject]
		delete(w.flight, o.Action.Subject)
		if o.void || f != nil && f.cancelled {
			continue
		}
		w.note(o.Result)
		w.ended = append(w.ended, o.Result)
		w.timeline.done(f, o.Result)
		var events []pod.Event
		w.memo, events = pod.Apply(w.memo, now, o.Result)
		w.events = append(w.events, events...)
	}
	for _, c := range got.conditions {
		w.memo = pod.WithCondition(w.memo, now, c)
	}
	w.answers = append(w.answers, got.answers...)
	w.dropLogs = cmp.Or(got.dropLogs, w.dropLogs)
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

// answer tells those who brought conditions what became of them.
func (w *worker) answer(err error) {
	for _, a := range w.answers {
		a <- err
	}
	w.answers = nil
}

// wish is the pod as it is wanted; nil when it has left already.
func (w *worker) wish() (*corev1.Pod, *pod.Deletion) {
	if w.orphan != nil {
		p := &corev1.Pod{}
		p.UID, p.Namespace, p.Name = w.key.UID, w.key.Namespace, w.key.Name
		return p, w.orphan
	}
	e := w.a.Snapshot().Get(podKey(w.key))
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

// persist writes a durable memo if it changed, before anything that follows
// from it is started, and the account of how it came to be with it.
func (w *worker) persist(memo pod.Memo, status corev1.PodStatus, account pod.Account) error {
	if w.orphan != nil {
		return nil
	}
	var decisions [][]byte
	if !account.Empty() {
		text, err := json.Marshal(account)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		decisions = append(decisions, text)
	}
	if memo.Durable.Equal(w.saved) {
		for _, text := range decisions {
			w.a.cfg.Store.Note(w.key.UID, text)
		}
		return nil
	}
	text, err := remembered{Memo: memo.Durable, Status: status, Start: w.timeline.start.Load()}.encode()
	if err != nil {
		return err
	}
	if err := w.a.cfg.Store.PutMemo(w.key.UID, text, decisions...); err != nil {
		return err
	}
	w.saved = memo.Durable
	return nil
}

// publish shows the status and what happened.
func (w *worker) publish(ctx context.Context, more []pod.Event) {
	if w.orphan == nil {
		w.a.publish(ctx, w.key, w.status, w.memo.Durable.Restarts(), append(w.events, more...))
	}
	w.events = nil
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
		if w.flight[a.Subject] == nil && ctx.Err() == nil {
			w.start(ctx, a)
		}
	}
	w.timeline.fly(w.flight)
}

// start starts an action. What may not be cancelled is finished even when podd
// stops: a removal half done would be found, but a started container would go
// unread until the next start.
func (w *worker) start(stop context.Context, act pod.Action) {
	ctx, cancel := context.WithCancel(stop)
	f := &flight{action: act, cancel: cancel, wanted: time.Now()}
	w.timeline.begins(f)
	w.flight[act.Subject] = f
	w.log.Debug("starting action", zap.String("kind", string(act.Kind)), zap.String("subject", string(act.Subject)),
		zap.Int("attempt", act.Attempt), zap.String("reason", act.Reason))
	w.a.actions.Go(func() {
		defer cancel()
		w.mail.done(w.a.carryOut(ctx, w.key, f))
	})
}

// land waits for what is under way when the loop has ended, and keeps what came
// of it.
func (w *worker) land() {
	w.pulse.rest() // actions may take their time
	for w.fold(time.Now()); len(w.flight) > 0; w.fold(time.Now()) {
		<-w.mail.wake
	}
	w.timeline.fly(w.flight)
	if w.gone {
		w.answer(errPodGone)
		return
	}
	err := w.persist(w.memo, w.status, pod.Account{})
	if err != nil {
		w.log.Error("could not store what is remembered of the pod; it is found out anew", zap.Error(err))
	}
	w.publish(w.a.life, nil)
	w.answer(err)
}

var errPodGone = errors.New("the pod is gone")

// leave lets the pod's object go, once nothing is left of it.
func (w *worker) leave(ctx context.Context) time.Duration {
	if w.orphan == nil {
		if err := w.a.remove(ctx, w.key); err != nil {
			return w.retry(ctx, "could not remove the pod's object", err)
		}
	}
	w.a.cfg.Meter.Left(w.key)
	w.gone = true
	return 0
}

// breather is how long a worker in trouble waits at least.
const breather = 200 * time.Millisecond

// trouble is what keeps a worker from deciding.
type trouble struct {
	failures int
	// said is the last one that was logged.
	said string
}

// retry notes a trouble, once, and tells when to try again.
func (w *worker) retry(ctx context.Context, what string, err error) time.Duration {
	t := &w.trouble
	t.failures++
	wait := min(time.Second<<min(t.failures-1, 5), relist)
	if text := what + ": " + err.Error(); text != t.said && ctx.Err() == nil {
		t.said = text
		w.log.Error(what+"; what runs goes on, and it is tried again", zap.Error(err))
	}
	return wait
}

func (w *worker) settled() {
	if w.trouble.said != "" {
		w.log.Info("the trouble is over", zap.String("was", w.trouble.said))
	}
	w.trouble = trouble{}
}
