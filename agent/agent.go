package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// Config is what an agent is made of. Everything is needed.
type Config struct {
	Store      *store.Store
	Admitter   *admit.Admitter
	Images     Images
	ImageStore ImageStore
	Sandboxes  Sandboxes
	Containers Containers
	Execer     Execer
	Volumes    Volumes
	Cgroups    Cgroups
	Network    Network
	Logs       Logs
	Prober     Prober
	Observer   Observer
	Host       Host
	// Facts are what decisions may know about the host; asked often.
	Facts func() pod.Node
	// Record is told of every finished action.
	Record func(kind pod.Kind, took time.Duration, err error)
	// Working tells whether the runtime answers.
	Working func(context.Context) error
	// Version is for Node.Version; ConfigYAML for Node.Config.
	Version    Version
	ConfigYAML []byte
	// Parallel bounds the heavy actions under way at once; 0 means 4.
	Parallel int64
	Log      *zap.Logger
}

// Agent runs the pods of one node.
type Agent struct {
	cfg     Config
	keeper  *keeper
	heavy   *semaphore.Weighted
	actions sync.WaitGroup
	ready   atomic.Bool

	mu      sync.Mutex
	workers map[types.UID]*worker // guarded by mu
	waiting []func()              // for readiness; guarded by mu
	running sync.WaitGroup
	// life is set by Run, before workers start.
	life context.Context
}

// New makes an agent of a loaded store. Nothing is started.
func New(cfg Config) (*Agent, error) {
	if cfg.Parallel == 0 {
		cfg.Parallel = 4
	}
	return &Agent{
		cfg:     cfg,
		keeper:  newKeeper(cfg.Store, cfg.Log),
		heavy:   semaphore.NewWeighted(cfg.Parallel),
		workers: map[types.UID]*worker{},
	}, nil
}

// Snapshot is everything now.
func (a *Agent) Snapshot() *Snapshot { return a.keeper.now.Load() }

// Ready tells whether every known pod has a worker.
func (a *Agent) Ready() bool { return a.ready.Load() }

// Run takes over what the store and the world hold and runs the pods until ctx
// ends. Actions under way are finished before it returns; pods run on.
func (a *Agent) Run(ctx context.Context) error {
	st, err := a.cfg.Store.Load()
	if err != nil {
		return err
	}
	if err := a.keeper.load(st, decodeStored); err != nil {
		return err
	}
	a.life = ctx
	var parts sync.WaitGroup
	keeperLife, endKeeper := context.WithCancel(context.WithoutCancel(ctx))
	parts.Go(func() { a.keeper.run(keeperLife) })
	a.adopt(st)
	a.setReady()
	parts.Go(func() { a.listen(ctx) })
	parts.Go(func() { a.sweep(ctx) })
	parts.Go(func() { a.keepEvents(ctx) })
	<-ctx.Done()
	a.ready.Store(false)
	a.running.Wait()
	a.actions.Wait()
	endKeeper()
	parts.Wait()
	return a.flushEvents()
}

// onReady runs f once the known pods are taken up; at once if they are.
func (a *Agent) onReady(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready.Load() {
		f()
		return
	}
	a.waiting = append(a.waiting, f)
}

func (a *Agent) setReady() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready.Store(true)
	for _, f := range a.waiting {
		f()
	}
	a.waiting = nil
}

// adopt gives every pod of the store its worker.
func (a *Agent) adopt(st store.State) {
	for _, e := range a.Snapshot().List(KindPod) {
		memo, known := pod.Memo{}, st.Memos[e.Object.GetUID()]
		if known != nil {
			if err := json.Unmarshal(known, &memo.Durable); err != nil {
				a.cfg.Log.Error("what was remembered of a pod is damaged; it is taken up from what is observed",
					zap.String("pod", e.Key.String()), zap.Error(err))
			}
		}
		a.employ(e, memo)
	}
}

// employ starts the worker of a pod. A pod that was never looked at is
// rejected if the node can't take it.
func (a *Agent) employ(e *Entry, memo pod.Memo) {
	saved := memo.Durable
	if saved.StartedAt.IsZero() && saved.Rejected == nil {
		reason, message, ok := pod.Fits(e.Pod(), a.others(e), a.nodeFacts())
		if !ok {
			memo = pod.Reject(memo, time.Now(), reason, message)
		}
	}
	key := pod.Key{UID: e.Object.GetUID(), Namespace: e.Key.Namespace, Name: e.Key.Name}
	a.hire(&worker{
		a: a, key: key, mail: newMailbox(), memo: memo, saved: saved, flight: map[pod.Subject]*flight{},
		log: a.cfg.Log.With(zap.String("pod", key.Namespace+"/"+key.Name), zap.String("uid", string(key.UID))),
	})
}

// others are the pods that hold what a new one may want, too.
func (a *Agent) others(e *Entry) []*corev1.Pod {
	var out []*corev1.Pod
	for _, p := range a.Snapshot().Pods() {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if p.UID != e.Object.GetUID() && !ended {
			out = append(out, p)
		}
	}
	return out
}

func (a *Agent) hire(w *worker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.workers[w.key.UID] != nil || a.life.Err() != nil {
		return
	}
	a.workers[w.key.UID] = w
	a.running.Go(func() {
		w.run(a.life)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.workers, w.key.UID)
	})
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

// condition passes a condition of somebody else's to a pod's worker.
func (a *Agent) condition(uid types.UID, c corev1.PodCondition) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.workers[uid]; w != nil {
		w.mail.condition(c)
	}
}

// listen passes the world's hints on.
func (a *Agent) listen(ctx context.Context) {
	err := a.cfg.Observer.Hints(ctx, a.hint)
	if ctx.Err() == nil {
		a.cfg.Log.Error("no hints come any more; pods are looked at every "+relist.String(), zap.Error(err))
	}
}

// sweep finds pods of which something exists and which the store does not
// know, and has them removed.
func (a *Agent) sweep(ctx context.Context) {
	for {
		if err := a.findOrphans(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("could not look for remains of unknown pods; it is tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
	}
}

// sweepEvery is how often remains are looked for.
const sweepEvery = time.Minute

// orphanGrace is what an unknown pod's processes have between TERM and KILL.
const orphanGrace = corev1.DefaultTerminationGracePeriodSeconds * time.Second

func (a *Agent) findOrphans(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	found, err := a.cfg.Observer.Pods(ctx)
	if err != nil {
		return err
	}
	// Read after the listing: whatever exists of a pod, its object was first.
	known := map[types.UID]bool{}
	for _, p := range a.Snapshot().Pods() {
		known[p.UID] = true
	}
	for _, key := range found {
		if known[key.UID] {
			continue
		}
		a.mu.Lock()
		busy := a.workers[key.UID] != nil
		a.mu.Unlock()
		if busy {
			continue
		}
		log := a.cfg.Log.With(zap.String("pod", key.Namespace+"/"+key.Name), zap.String("uid", string(key.UID)))
		log.Warn("found remains of a pod that the store does not know; removing them")
		a.hire(&worker{
			a: a, key: key, mail: newMailbox(), flight: map[pod.Subject]*flight{}, log: log,
			orphan: &pod.Deletion{At: time.Now(), Grace: orphanGrace},
		})
	}
	return nil
}

func (a *Agent) nodeFacts() pod.Node { return a.cfg.Facts() }

func podKey(key pod.Key) store.Key {
	return store.Key{Kind: KindPod, Namespace: key.Namespace, Name: key.Name}
}

// publish shows a pod's status, if it changed, and its events.
func (a *Agent) publish(ctx context.Context, key pod.Key, status corev1.PodStatus, events []pod.Event) {
	err := a.keeper.do(context.WithoutCancel(ctx), func() error {
		e := a.Snapshot().Get(podKey(key))
		if e == nil || e.Object.GetUID() != key.UID {
			return nil
		}
		for _, ev := range events {
			a.keeper.event(e.Pod(), ev, time.Now())
		}
		if sameStatus(e.Pod().Status, status) {
			return nil
		}
		p := e.Pod().DeepCopy()
		p.Status = status
		next := *e
		next.Object = p
		a.keeper.replace(&next)
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		a.cfg.Log.Error("could not publish a pod's status", zap.Error(err))
	}
}

// remove lets a pod's object leave and brings up its successor.
func (a *Agent) remove(ctx context.Context, key pod.Key) error {
	return a.keeper.do(context.WithoutCancel(ctx), func() error {
		e := a.Snapshot().Get(podKey(key))
		if e == nil || e.Object.GetUID() != key.UID {
			return nil
		}
		forget := store.Change{ForgetPods: []types.UID{key.UID}}
		if e.Next == nil {
			return a.keeper.commit(nil, []store.Key{e.Key}, forget)
		}
		obj, err := decodeStored(KindPod, e.Next.Object)
		if err != nil {
			return fmt.Errorf("the pod that takes the place of %s: %w", e.Key, err)
		}
		next := &Entry{Key: e.Key, Source: e.Next.Source, Object: obj}
		if err := a.keeper.commit([]*Entry{next}, nil, forget); err != nil {
			return err
		}
		a.employ(next, pod.Memo{})
		return nil
	})
}
