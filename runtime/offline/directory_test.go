package offline_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/offline"
)

// store is one in which archives are what they contain, in words.
type store struct {
	mu     sync.Mutex
	loaded map[string]string // file to version
	tries  map[string]int
	full   bool
	events []string
}

func (s *store) Archives(context.Context) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.loaded), nil
}

func (s *store) LoadArchive(_ context.Context, file, version string, archive io.Reader) ([]pod.StoredImage, error) {
	text, err := io.ReadAll(archive)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries[file]++
	switch {
	case string(text) == "broken":
		return nil, &pod.Failure{Kind: pod.Permanent, Message: "it is broken"}
	case s.full:
		return nil, errors.New("no space left on device")
	}
	s.loaded[file] = version
	return []pod.StoredImage{{Names: []string{string(text)}}}, nil
}

func (s *store) UnloadArchive(_ context.Context, file string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loaded, file)
	return nil
}

func (s *store) happened(_ context.Context, ev pod.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, ev.Message)
}

// has waits until just these files are loaded.
func (s *store) has(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		got = slices.Sorted(maps.Keys(s.loaded))
		s.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("loaded are %q, want %q", got, want)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDirectory: inotify is the kernel's, so that time here is real.
func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "images")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.tar": "a", "b.tar.zst": "b", "c.tgz": "c", "broken.tar": "broken", ".hidden.tar": "h", "notes.txt": "n",
	} {
		write(t, filepath.Join(dir, name), text)
		long := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(dir, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	s := &store{loaded: map[string]string{"gone.tar": "1.1"}, tries: map[string]int{}}
	d := offline.New(dir, s, s.happened, zaptest.NewLogger(t))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := d.Look(given); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone was made to wait: %v", err)
	}
	if err := d.Look(t.Context()); err != nil {
		t.Error(err)
	}
	s.has(t, "a.tar", "b.tar.zst", "c.tgz")
	if len(s.events) != 1 || !strings.Contains(s.events[0], "broken.tar: it is broken; it is tried again when the file changes") {
		t.Errorf("events %q", s.events)
	}

	s.mu.Lock()
	delete(s.loaded, "c.tgz") // it is damaged
	s.mu.Unlock()
	if err := d.Look(t.Context()); err != nil || s.tries["c.tgz"] != 2 {
		t.Errorf("%v, tries %v", err, s.tries)
	}

	write(t, filepath.Join(dir, "broken.tar"), "mended")
	write(t, filepath.Join(dir, "d.tar"), "d")
	if err := os.Remove(filepath.Join(dir, "a.tar")); err != nil {
		t.Fatal(err)
	}
	s.has(t, "b.tar.zst", "broken.tar", "c.tgz", "d.tar")
	if s.tries["b.tar.zst"] != 1 || s.tries["broken.tar"] != 2 {
		t.Errorf("tries %v", s.tries)
	}

	// A file that is being written is left alone.
	f, err := os.Create(filepath.Join(dir, "slow.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for range 15 {
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.has(t, "b.tar.zst", "broken.tar", "c.tgz", "d.tar", "slow.tar")
	if s.tries["slow.tar"] != 1 {
		t.Errorf("it was tried %d times", s.tries["slow.tar"])
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// puller is one that has an image, or has not.
type puller struct {
	here  bool
	pulls int
}

func (p *puller) Pull(context.Context, pod.PullConfig) (pod.Pulled, error) {
	p.pulls++
	return pod.Pulled{Image: pod.Image{ID: "pulled"}}, nil
}

func (p *puller) Here(context.Context, string) (pod.Image, bool, error) {
	return pod.Image{ID: "here"}, p.here, nil
}

// TestPatient: nothing is fetched that an archive may have.
func TestPatient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		here   bool
		policy corev1.PullPolicy
		want   string
	}{
		"the archives have it":          {true, corev1.PullIfNotPresent, "here"},
		"they have it, and it is asked": {true, corev1.PullAlways, "pulled"},
		"they have not":                 {false, corev1.PullIfNotPresent, "pulled"},
	} {
		p := &puller{}
		patient := offline.Patient{Puller: p, Look: func(ctx context.Context) error {
			p.here = c.here
			return ctx.Err()
		}}
		cfg := pod.PullConfig{Ref: "app", Policy: c.policy}
		given, giveUp := context.WithCancel(t.Context())
		giveUp()
		if _, err := patient.Pull(given, cfg); !errors.Is(err, context.Canceled) || p.pulls > 0 {
			t.Errorf("%s: it did not wait: %v", name, err)
		}
		if img, err := patient.Pull(t.Context(), cfg); err != nil || img.ID != c.want {
			t.Errorf("%s: got %v, %v", name, img, err)
		}
	}
}
