package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// Config is what an agent is made of. Everything but Limits is needed.
type Config struct {
	Store      Store
	Admitter   *admit.Admitter
	Images     Images
	ImageStore ImageStore
	Sandboxes  Sandboxes
	Containers Containers
	Execer     Execer
	Attacher   Attacher
	Files      Files
	Dialer     Dialer
	Volumes    Volumes
	Cgroups    Cgroups
	Network    Network
	Logs       Logs
	Prober     Prober
	Caller     Caller
	Observer   Observer
	Host       Host
	Conditions Conditions
	// Usage is read when somebody asks, and at no other time.
	Usage Usage
	// Facts are what decisions may know about the host; asked often.
	Facts func() pod.Node
	Meter Meter
	// Tracer is told how pods start.
	Tracer Tracer
	// Self tells about podd as a process.
	Self Self
	// Disks tell how full they are.
	Disks Disks
	// Settings hold until Change brings others.
	Settings Settings
	// Collected is told of everything that was removed for that: "image" or
	// "log", and why.
	Collected func(what, reason string)
	// Working tells whether the runtime answers.
	Working func(context.Context) error
	// Backup writes a copy of the store.
	Backup func(io.Writer) error
	// Version is for Node.Version.
	Version Version
	Limits  Limits
	Log     *zap.Logger
}

// Settings are what may be changed while the agent runs.
type Settings struct {
	// Collection says what is removed when.
	Collection pod.CollectPolicy
	// Finished says how long finished pods stay.
	Finished pod.FinishedPolicy
	// Shutdown bounds the end of the pods with the machine.
	Shutdown pod.ShutdownPolicy
	// ConfigYAML is for Node.Config.
	ConfigYAML []byte
}

// check tells what is missing.
func (c *Config) check() error {
	fields := reflect.ValueOf(c).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() { //nolint:exhaustive // the others may be zero
		case reflect.Interface, reflect.Func, reflect.Pointer:
			if f.IsNil() {
				return fmt.Errorf("make the agent: it has no %s", fields.Type().Field(i).Name)
			}
		}
	}
	return nil
}

// Agent runs the pods of one node.
type Agent struct {
	cfg     Config
	keeper  *keeper
	turns   turns
	actions sync.WaitGroup
	ready   atomic.Bool
	// settings are the present ones.
	settings atomic.Pointer[Settings]
	// ending is the machine's going down; nil while it stays up.
	ending atomic.Pointer[pod.Ending]
	// pulses are those of the workers that run, with their pods' names.
	pulses sync.Map
	// taken is closed when the known pods are taken up.
	taken chan struct{}
	// nudged has room for one word that there may be something to collect.
	nudged chan struct{}
	// life is set by Run, before workers start.
	life context.Context

	// seats are the pods that hold a place on the node. Owned by the keeper's
	// goroutine.
	seats map[types.UID]*corev1.Pod

	mu      sync.Mutex
	workers map[types.UID]*worker // guarded by mu
	closed  bool                  // guarded by mu: nobody is hired any more
	running sync.WaitGroup
}

// New makes an agent. Nothing is read or started.
func New(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Agent{
		cfg:     cfg,
		keeper:  newKeeper(cfg.Store, cfg.Log),
		turns:   newTurns(cfg.Limits),
		taken:   make(chan struct{}),
		nudged:  make(chan struct{}, 1),
		seats:   map[types.UID]*corev1.Pod{},
		workers: map[types.UID]*worker{},
	}
	a.settings.Store(&cfg.Settings)
	return a, nil
}

// Change has other settings hold from now on.
func (a *Agent) Change(s Settings) {
	a.settings.Store(&s)
	a.nudge()
}

// Snapshot is everything now.
func (a *Agent) Snapshot() *Snapshot { return a.keeper.now.Load() }

// Taken is closed when the known pods are taken up: changes are taken from then
// on.
func (a *Agent) Taken() <-chan struct{} { return a.taken }

// Ready tells whether the known pods are taken up: each has been looked at, or
// the looking takes suspiciously long.
func (a *Agent) Ready() bool { return a.ready.Load() }

// Run takes over what the store and the world hold and runs the pods until ctx
// ends. Actions under way are finished before it returns; pods run on. It is
// called once.
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
	err = a.adopt(ctx, st)
	if err == nil {
		a.ready.Store(true)
		close(a.taken)
		parts.Go(func() { a.listen(ctx) })
		parts.Go(func() { a.sweep(ctx) })
		parts.Go(func() { a.keepEvents(ctx) })
		parts.Go(func() { a.watchNode(ctx) })
		parts.Go(func() { a.collect(ctx) })
		<-ctx.Done()
	}
	a.ready.Store(false)
	a.dismissAll()
	a.actions.Wait()
	endKeeper()
	parts.Wait()
	if err != nil && ctx.Err() == nil {
		return err
	}
	return a.keeper.saveEvents()
}

// adoptTime is how long the first look at all pods may hold readiness up.
const adoptTime = 15 * time.Second

// adopt gives every pod of the store its worker, and waits until each has been
// looked at. Pods that were let in before keep their places; only then come
// those that have not been.
func (a *Agent) adopt(ctx context.Context, st store.State) error {
	err := a.keeper.do(ctx, func() error {
		entries := a.Snapshot().List(KindPod)
		memories := map[types.UID]remembered{}
		for _, e := range entries {
			r, err := recall(st.Memos[e.Object.GetUID()])
			if err != nil {
				a.cfg.Log.Error("what was remembered of a pod is damaged; it is taken up from what is observed",
					zap.String("pod", e.Key.String()), zap.Error(err))
			}
			memories[e.Object.GetUID()] = r
			if sits(r) {
				a.seats[e.Object.GetUID()] = e.Pod()
			}
		}
		for _, e := range entries {
			a.employ(e, memories[e.Object.GetUID()])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.firstLooks(ctx)
}

// firstLooks waits for every worker's first look, but not for ever.
func (a *Agent) firstLooks(ctx context.Context) error {
	a.mu.Lock()
	var all []chan struct{}
	for _, w := range a.workers {
		all = append(all, w.looked)
	}
	a.mu.Unlock()
	limit := time.NewTimer(adoptTime)
	defer limit.Stop()
	for _, looked := range all {
		select {
		case <-looked:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			a.cfg.Log.Warn("not all known pods could be looked at yet")
			return nil
		}
	}
	return nil
}

// listen passes the world's hints on.
func (a *Agent) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := a.cfg.Observer.Hints(ctx, a.hint)
		if ctx.Err() != nil {
			return
		}
		a.cfg.Log.Error("hints of what happens have ended; they are asked for again", zap.Error(err))
		sleep(ctx, hintsPause)
		a.hint("")
	}
}

const hintsPause = 5 * time.Second

// isStop says that an error only means that podd stops.
func isStop(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, errStopped) }
