package manifests

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

const (
	// quiet is how long nothing has to happen before the directory is read:
	// several files, or one in pieces, come as one.
	quiet = 100 * time.Millisecond
	// impatience bounds that wait.
	impatience = 2 * time.Second
	// soon is when what waits is looked at again.
	soon = time.Second
	// later is when what is broken is tried again although it has not changed.
	later = 10 * time.Second
	// rescan is how often the directory is read although nothing was heard.
	rescan = time.Minute
)

// Target is where the objects go. *agent.Agent is one.
type Target interface {
	Apply(ctx context.Context, wants []agent.Want, opts agent.ApplyOptions) ([]agent.Applied, error)
	Delete(ctx context.Context, key store.Key, opts agent.DeleteOptions) (agent.Object, error)
	Snapshot() *agent.Snapshot
	NodeEvent(ctx context.Context, ev pod.Event) error
}

// Status counts the files.
type Status struct {
	// Applied are as they are stored; Broken can't be used, and what they held
	// before stays; Waiting are being written, or wait for an old pod to go.
	Applied, Broken, Waiting int
}

// Directory keeps what is stored as the files of one directory say.
type Directory struct {
	path   string
	target Target
	log    *zap.Logger
	status atomic.Pointer[Status]

	// Owned by Run's goroutine.
	applied map[string][sha256.Size]byte
	// said is what was told of broken files, by path.
	said map[string]string
}

// New works on a directory, which need not exist.
func New(path string, target Target, log *zap.Logger) *Directory {
	d := &Directory{path: path, target: target, log: log, applied: map[string][sha256.Size]byte{}, said: map[string]string{}}
	d.status.Store(&Status{})
	return d
}

// Status is as of the last reading.
func (d *Directory) Status() Status { return *d.status.Load() }

// Run reads and applies until ctx ends. The target has to take changes.
func (d *Directory) Run(ctx context.Context) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the manifests directory %s: %w", d.path, err)
	}
	defer watch.Close()
	for ctx.Err() == nil {
		watched := d.watch(watch) // before it is read: nothing falls between the two
		next := d.reconcile(ctx)
		if !watched {
			next = min(next, soon)
		}
		d.wait(ctx, watch, next)
	}
	return nil
}

// watch watches the directory, which may be another one of the name by now, or
// that in which it is to appear.
func (d *Directory) watch(w *fsnotify.Watcher) bool {
	for _, old := range w.WatchList() {
		_ = w.Remove(old) // it may be gone with its directory
	}
	for dir := d.path; ; dir = filepath.Dir(dir) {
		err := w.Add(dir)
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return err == nil
		}
	}
}

// wait lets the time pass, or until something happens and it is quiet again.
func (d *Directory) wait(ctx context.Context, w *fsnotify.Watcher, next time.Duration) {
	timer := time.NewTimer(next)
	defer timer.Stop()
	var patience <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-patience:
			return
		case <-w.Errors: // an overflow, for one: something happened
		case <-w.Events:
		}
		timer.Reset(quiet)
		if patience == nil {
			patience = time.After(impatience)
		}
	}
}

// reconcile reads the directory and does what follows from it; it tells when to
// look again.
func (d *Directory) reconcile(ctx context.Context) time.Duration {
	files, err := readDir(d.path)
	if err != nil {
		d.tell(ctx, d.path, fmt.Errorf("could not read the manifests directory; what it held runs on: %w", err))
		return soon
	}
	delete(d.said, d.path)
	p := decide(files, d.target.Snapshot().From(isSource), d.applied)
	st := Status{Broken: len(p.broken), Waiting: len(p.waiting), Applied: len(files) - len(p.broken) - len(p.waiting)}
	for _, e := range inStopOrder(p.remove) {
		d.remove(ctx, e)
	}
	for _, f := range p.apply {
		if err := d.apply(ctx, f); err != nil {
			f.err = err
			p.broken = append(p.broken, f)
			st.Broken, st.Applied = st.Broken+1, st.Applied-1
		}
	}
	d.report(ctx, p.broken)
	d.status.Store(&st)
	switch {
	case len(p.waiting) > 0 || len(p.remove) > 0:
		return soon
	case st.Broken > 0:
		return later // what stands in the way may go
	}
	return rescan
}

// inStopOrder puts pods before what they start after, and all else behind them.
func inStopOrder(entries []*agent.Entry) []*agent.Entry {
	var pods []*corev1.Pod
	var others []*agent.Entry
	of := map[*corev1.Pod]*agent.Entry{}
	for _, e := range entries {
		if e.Key.Kind == agent.KindPod {
			pods, of[e.Pod()] = append(pods, e.Pod()), e
		} else {
			others = append(others, e)
		}
	}
	var out []*agent.Entry
	for _, p := range pod.StopOrder(pods) {
		out = append(out, of[p])
	}
	return append(out, others...)
}

func (d *Directory) remove(ctx context.Context, e *agent.Entry) {
	_, err := d.target.Delete(ctx, e.Key, agent.DeleteOptions{Source: e.Source})
	if err != nil && ctx.Err() == nil {
		d.log.Warn("could not remove what a manifest no longer holds; it is tried again",
			zap.Stringer("object", e.Key), zap.String("manifest", e.Source), zap.Error(err))
		return
	}
	d.log.Info("removing what no manifest holds any more", zap.Stringer("object", e.Key), zap.String("manifest", e.Source))
}

func (d *Directory) apply(ctx context.Context, f file) error {
	done, err := d.target.Apply(ctx, f.wants, agent.ApplyOptions{Source: f.path})
	if err != nil {
		return err
	}
	d.applied[f.path] = f.sum
	for _, one := range done {
		for _, w := range one.Warnings {
			d.log.Warn("a manifest was applied with a warning", zap.String("manifest", f.path), zap.String("warning", w))
		}
	}
	if slices.ContainsFunc(done, func(one agent.Applied) bool { return one.Changed }) {
		d.log.Info("applied a manifest", zap.String("manifest", f.path), zap.Int("objects", len(done)))
	}
	return nil
}

// report tells of what is broken, once, and of what is broken no more.
func (d *Directory) report(ctx context.Context, broken []file) {
	now := map[string]bool{d.path: true}
	for _, f := range broken {
		now[f.path] = true
		d.tell(ctx, f.path, f.err)
	}
	for path := range maps.Clone(d.said) {
		if !now[path] {
			d.log.Info("a manifest is no longer in trouble", zap.String("manifest", path))
			delete(d.said, path)
		}
	}
}

// tell logs what is wrong with a path and makes an event of it, unless that was
// done already.
func (d *Directory) tell(ctx context.Context, path string, err error) {
	text := err.Error()
	if d.said[path] == text || ctx.Err() != nil {
		return
	}
	d.said[path] = text
	d.log.Error("a manifest can't be used; what was applied of it before runs on", zap.String("manifest", path), zap.Error(err))
	ev := pod.Event{Type: corev1.EventTypeWarning, Reason: "InvalidManifest", Message: path + ": " + text}
	if err := d.target.NodeEvent(ctx, ev); err != nil && ctx.Err() == nil {
		d.log.Warn("could not record an event", zap.Error(err))
	}
}
