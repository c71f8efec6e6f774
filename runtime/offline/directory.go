package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

const (
	// quiet is how long an archive has to be left alone before it is loaded: it
	// may be being copied.
	quiet = time.Second
	// later is when what could not be loaded, though the archive is not to
	// blame, is tried again.
	later = 10 * time.Second
	// rescan is how often the directory is read although nothing was heard.
	rescan = time.Minute
	// impatience bounds the wait for quiet.
	impatience = 30 * time.Second
)

// Store is where images go. runtime.Images is one.
type Store interface {
	// Archives tells which files are loaded, and which version of each.
	Archives(ctx context.Context) (map[string]string, error)
	// LoadArchive imports a file and pins its images.
	LoadArchive(ctx context.Context, file, version string, archive io.Reader) ([]pod.StoredImage, error)
	// UnloadArchive unpins the images that only this file kept.
	UnloadArchive(ctx context.Context, file string) error
}

// Directory keeps the images of one directory loaded.
type Directory struct {
	path  string
	store Store
	// happened is told what people should know.
	happened func(context.Context, pod.Event)
	log      *zap.Logger
	// asks are those who want a look at the directory now; each is closed after.
	asks chan chan struct{}

	// Owned by Run's goroutine. failed is the version of each file that can't be
	// loaded, whoever tries.
	failed map[string]string
}

// New works on a directory, which is made if it is not there.
func New(path string, store Store, happened func(context.Context, pod.Event), log *zap.Logger) *Directory {
	return &Directory{path: path, store: store, happened: happened, log: log, asks: make(chan chan struct{}), failed: map[string]string{}}
}

// Look waits until the archives that are there now are loaded, those that can
// be, but for one that is being written. It is for who is about to look for an
// image elsewhere.
func (d *Directory) Look(ctx context.Context) error {
	looked := make(chan struct{})
	select {
	case d.asks <- looked:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run loads what there is, and what comes, until ctx ends. An archive that goes
// leaves its images, unpinned.
func (d *Directory) Run(ctx context.Context) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the offline images %s: %w", d.path, err)
	}
	defer watch.Close()
	var asked []chan struct{}
	for first := true; ctx.Err() == nil; first = false {
		wait := rescan
		if err := errors.Join(os.MkdirAll(d.path, 0o755), watch.Add(d.path)); err != nil { // once more is the same
			d.log.Warn("could not watch the offline images; they are looked at every now and then", zap.String("directory", d.path), zap.Error(err))
		}
		soon, err := d.reconcile(ctx, first)
		if err != nil && ctx.Err() == nil {
			d.log.Warn("could not load the offline images; it is tried again", zap.String("directory", d.path), zap.Error(err))
			soon = later
		}
		for _, looked := range asked {
			close(looked)
		}
		if soon > 0 {
			wait = soon
		}
		asked = d.wait(ctx, watch, wait)
	}
	return nil
}

// wait lets the time pass, or until something has happened and it is quiet, or
// somebody asks.
func (d *Directory) wait(ctx context.Context, w *fsnotify.Watcher, wait time.Duration) (asked []chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var patience <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return nil
		case <-patience:
			return nil
		case looked := <-d.asks:
			return []chan struct{}{looked}
		case <-w.Errors: // an overflow, for one: something happened
		case <-w.Events:
		}
		timer.Reset(quiet)
		if patience == nil {
			patience = time.After(impatience)
		}
	}
}

// reconcile loads and unloads what has to be, and tells when to look again; 0
// is when there is no haste.
func (d *Directory) reconcile(ctx context.Context, first bool) (time.Duration, error) {
	files, err := readDir(d.path)
	if err != nil {
		return 0, err
	}
	loaded, err := d.store.Archives(ctx)
	if err != nil {
		return 0, err
	}
	var wait time.Duration
	for _, f := range files {
		if loaded[f.name] == f.version() || d.failed[f.name] == f.version() {
			continue
		}
		// At the start nobody waits for what is being copied.
		if age := time.Since(f.changed); age < quiet && age >= 0 && !first {
			wait = quiet
			continue
		}
		if !d.load(ctx, f) {
			wait = later
		}
	}
	for name := range loaded {
		if slices.ContainsFunc(files, func(f file) bool { return f.name == name }) {
			continue
		}
		if err := d.store.UnloadArchive(ctx, name); err != nil {
			return 0, err
		}
		d.log.Info("an archive of offline images is gone; its images stay until nobody needs them", zap.String("archive", name))
	}
	return wait, nil
}

// load loads a file, and tells whether it has not to be tried again.
func (d *Directory) load(ctx context.Context, f file) bool {
	began := time.Now()
	images, err := d.loadFile(ctx, f)
	if ctx.Err() != nil {
		return true
	}
	if err != nil {
		return d.trouble(ctx, f, err)
	}
	var names []string
	for _, img := range images {
		names = append(names, img.Names...)
	}
	d.log.Info("loaded offline images", zap.String("archive", f.name), zap.Strings("images", names), zap.Duration("took", time.Since(began)))
	return true
}

func (d *Directory) loadFile(ctx context.Context, f file) ([]pod.StoredImage, error) {
	archive, err := os.Open(filepath.Join(d.path, f.name))
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	return d.store.LoadArchive(ctx, f.name, f.version(), archive)
}

// trouble tells of an archive that could not be loaded, and whether it is to
// blame itself.
func (d *Directory) trouble(ctx context.Context, f file, err error) bool {
	next, final := "it is tried again", false
	var failure *pod.Failure
	if errors.As(err, &failure) && failure.Kind == pod.Permanent {
		next, final = "it is tried again when the file changes", true
		d.failed[f.name] = f.version()
	}
	d.log.Error("could not load an archive of offline images; "+next, zap.String("archive", filepath.Join(d.path, f.name)), zap.Error(err))
	d.happened(ctx, pod.Event{
		Type: corev1.EventTypeWarning, Reason: "OfflineImagesFailed",
		Message: fmt.Sprintf("Could not load %s: %v; %s", filepath.Join(d.path, f.name), err, next),
	})
	return final
}
