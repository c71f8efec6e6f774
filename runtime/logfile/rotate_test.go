package logfile_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/logfile"
)

// files are the sizes of the log's files by name.
func files(t *testing.T, path string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil { // else it was removed just now
			sizes[e.Name()] = info.Size()
		}
	}
	return sizes
}

// someLines are n lines of random length, numbered.
func someLines(rng *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		size := rng.IntN(200)
		if rng.IntN(100) == 0 {
			size = rng.IntN(50_000)
		}
		fmt.Fprintf(&b, "%d %s\n", i, strings.Repeat("x", size))
	}
	return b.String()
}

// trickle reads in pieces of random size.
type trickle struct {
	r   io.Reader
	rng *rand.Rand
}

func (s *trickle) Read(p []byte) (int, error) {
	return s.r.Read(p[:1+s.rng.IntN(len(p))])
}

func open(t *testing.T, logs *logfile.Logs, limits pod.LogLimits) *logfile.Writer {
	t.Helper()
	w, err := logs.Open(logs.Path(web, "app", 0), limits)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestRotationLosesAndDoublesNothing, whoever follows meanwhile, across
// restarts of podd, and for every tail.
func TestRotationLosesAndDoublesNothing(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		logs, _, _ := newLogs(t)
		limits := pod.LogLimits{MaxSize: 64 << 10, MaxFiles: 1000}
		text := someLines(rng, 5000)
		w := open(t, logs, limits)
		done := make(chan struct{})
		var followed bytes.Buffer
		var following sync.WaitGroup
		following.Go(func() {
			opts := pod.LogOptions{Pod: web, Container: "app", Follow: true, Done: done}
			if err := logs.Read(t.Context(), &followed, opts); err != nil {
				t.Error(err)
			}
		})
		for part := range 3 {
			from, to := part*len(text)/3, (part+1)*len(text)/3
			for to < len(text) && text[to-1] != '\n' {
				to++
			}
			for from > 0 && text[from-1] != '\n' {
				from++
			}
			if err := w.Copy("stdout", &trickle{strings.NewReader(text[from:to]), rng}); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if part < 2 {
				w = open(t, logs, limits)
			}
		}
		close(done)
		following.Wait()
		if followed.String() != text {
			t.Errorf("seed %d: a follower has %d bytes, written were %d", seed, followed.Len(), len(text))
		}
		lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		for _, n := range []int{1, 10, 1000, 3000, 4999, 5000, 6000} {
			want := strings.Join(lines[max(0, len(lines)-n):], "") + "\n"
			if got := read(t, logs, pod.LogOptions{Tail: ptr(int64(n))}); got != want {
				t.Errorf("seed %d: the last %d lines are %d bytes, want %d", seed, n, len(got), len(want))
			}
		}
		if got := read(t, logs, pod.LogOptions{}); got != text {
			t.Errorf("seed %d: everything is %d bytes, want %d", seed, len(got), len(text))
		}
		for name, size := range files(t, logs.Path(web, "app", 0)) {
			if size > limits.MaxSize+2*logfile.ReadSize {
				t.Errorf("%s has %d bytes", name, size)
			}
		}
	}
}

// TestAFloodStaysWithinBounds at any time, with any number of files.
func TestAFloodStaysWithinBounds(t *testing.T) {
	for _, keep := range []int{1, 2, 5} {
		logs, _, _ := newLogs(t)
		limits := pod.LogLimits{MaxSize: 64 << 10, MaxFiles: keep}
		w := open(t, logs, limits)
		flood := strings.Repeat(strings.Repeat("f", 99)+"\n", 200_000)
		copied := make(chan error, 1)
		go func() { copied <- w.Copy("stdout", strings.NewReader(flood)) }()
		for over := false; !over; {
			select {
			case err := <-copied:
				if err != nil {
					t.Error(err)
				}
				over = true
			default:
			}
			var sum int64
			for name, size := range files(t, logs.Path(web, "app", 0)) {
				if !strings.HasSuffix(name, ".tmp") {
					sum += size
				}
			}
			if most := int64(keep) * (limits.MaxSize + 2*logfile.ReadSize); sum > most {
				t.Fatalf("%d files: %d bytes, more than %d", keep, sum, most)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		all := files(t, logs.Path(web, "app", 0))
		packed := 0
		for name := range all {
			if strings.HasSuffix(name, ".gz") {
				packed++
			}
		}
		if len(all) != keep || packed != max(keep-2, 0) {
			t.Errorf("of %d files there are %v", keep, all)
		}
		if got := read(t, logs, pod.LogOptions{Tail: ptr(5)}); got != flood[len(flood)-500:] {
			t.Errorf("the last lines: %q", got)
		}
	}
}

// TestFollowingTheOnlyFile: it is replaced, not missed.
func TestFollowingTheOnlyFile(t *testing.T) {
	logs, _, _ := newLogs(t)
	w := open(t, logs, pod.LogLimits{MaxSize: 64 << 10, MaxFiles: 1})
	defer w.Close()
	done := make(chan struct{})
	lines, _ := follow(t.Context(), t, logs, done)
	defer close(done)
	for i := range 6 {
		line := fmt.Sprintf("%d%s", i, strings.Repeat("x", 50<<10))
		if err := w.Copy("stdout", strings.NewReader(line+"\n")); err != nil {
			t.Fatal(err)
		}
		next(t, lines, line)
	}
}

// TestACrashWhileCompressing leaves nothing doubled and nothing behind.
func TestACrashWhileCompressing(t *testing.T) {
	logs, _, _ := newLogs(t)
	limits := pod.LogLimits{MaxSize: 64 << 10, MaxFiles: 1000}
	w := open(t, logs, limits)
	text := someLines(rand.New(rand.NewPCG(1, 1)), 3000)
	if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := logs.Path(web, "app", 0)
	for name := range files(t, path) { // the newest one is there twice, half compressed and compressed
		if name != "0.log" && !strings.HasSuffix(name, ".gz") {
			for _, suffix := range []string{".gz", ".gz.tmp"} {
				if err := os.WriteFile(filepath.Join(filepath.Dir(path), name+suffix), []byte("half"), 0o640); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if got := read(t, logs, pod.LogOptions{}); got != text {
		t.Errorf("after the crash %d bytes, want %d", len(got), len(text))
	}
	if err := open(t, logs, limits).Close(); err != nil {
		t.Fatal(err)
	}
	for name := range files(t, path) {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s is left", name)
		}
	}
	if got := read(t, logs, pod.LogOptions{}); got != text {
		t.Errorf("after the next opening %d bytes, want %d", len(got), len(text))
	}
}

// TestRotationFails: writing goes on in the old file, and the next try rotates.
func TestRotationFails(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "nr_inodes=6,size=10m"); err != nil { // for the root, two directories and a log
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	logs := logfile.New(logfile.Config{Dir: dir}, zaptest.NewLogger(t))
	w := open(t, logs, pod.LogLimits{MaxSize: 64 << 10, MaxFiles: 2})
	defer w.Close()
	var fillers []string
	for i := range 10 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if os.WriteFile(path, nil, 0o600) != nil {
			break
		}
		fillers = append(fillers, path)
	}
	text := someLines(rand.New(rand.NewPCG(1, 1)), 1000)
	if err := w.Copy("stdout", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "rotate log") {
		t.Errorf("Copy = %v", err)
	}
	if got := read(t, logs, pod.LogOptions{}); got != text || len(files(t, logs.Path(web, "app", 0))) != 1 {
		t.Errorf("%d bytes of %d in %v", len(got), len(text), files(t, logs.Path(web, "app", 0)))
	}
	for _, path := range fillers {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Copy("stdout", strings.NewReader("one more\n")); err != nil {
		t.Error(err)
	}
	if got := read(t, logs, pod.LogOptions{}); got != text+"one more\n" || len(files(t, logs.Path(web, "app", 0))) != 2 {
		t.Errorf("%d bytes in %v", len(got), files(t, logs.Path(web, "app", 0)))
	}
}

// TestSinceGoesOverAllFiles as without rotation.
func TestSinceGoesOverAllFiles(t *testing.T) {
	logs, _, _ := newLogs(t)
	w := open(t, logs, pod.LogLimits{MaxSize: 64 << 10, MaxFiles: 100})
	defer w.Close()
	text := someLines(rand.New(rand.NewPCG(1, 1)), 2000)
	if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond) // the clock has to go on
	now := time.Now()
	if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, logs, pod.LogOptions{Since: now}); got != text {
		t.Errorf("%d bytes, want %d", len(got), len(text))
	}
}
