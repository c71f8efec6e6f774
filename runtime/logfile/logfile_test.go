package logfile_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/logfile"
)

var web = pod.Key{UID: "u1", Namespace: "default", Name: "web"}

func newLogs(t *testing.T) (logs *logfile.Logs, dir, links string) {
	t.Helper()
	dir, links = t.TempDir(), t.TempDir()
	return logfile.New(logfile.Config{Dir: dir, Links: links}, zaptest.NewLogger(t)), dir, links
}

// place writes a log's text as it is.
func place(t *testing.T, logs *logfile.Logs, text string) {
	t.Helper()
	path := logs.Path(web, "app", 0)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, logs *logfile.Logs, opts pod.LogOptions) string {
	t.Helper()
	opts.Pod, opts.Container = web, "app"
	var out bytes.Buffer
	if err := logs.Read(t.Context(), &out, opts); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var criLine = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z (stdout|stderr) ([PF]) (.*)$`)

// write goes on with the log as a new podd does.
func write(t *testing.T, logs *logfile.Logs, text string) {
	t.Helper()
	w := open(t, logs, pod.LogLimits{})
	defer w.Close()
	if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func raw(t *testing.T, logs *logfile.Logs) string {
	t.Helper()
	text, err := os.ReadFile(logs.Path(web, "app", 0))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ptr(n int64) *int64 { return &n }

func TestReading(t *testing.T) {
	const text = "2026-01-02T03:04:05.1Z stdout F one\n" +
		"2026-01-02T03:04:06Z stderr F two\n" +
		"2026-01-02T03:04:07Z stdout P thr\n" +
		"2026-01-02T03:04:08Z stdout F ee\n" +
		"2026-01-02T03:04:09Z stdout F \n" +
		"2026-01-02T03:04:10Z stdout F fi"
	at := func(sec int) time.Time { return time.Date(2026, 1, 2, 3, 4, sec, 0, time.UTC) }
	for name, test := range map[string]struct {
		opts pod.LogOptions
		want string
	}{
		"all, the torn line too":       {pod.LogOptions{}, "one\ntwo\nthree\n\nfi"},
		"no lines":                     {pod.LogOptions{Tail: ptr(0)}, ""},
		"the last one is torn":         {pod.LogOptions{Tail: ptr(1)}, "fi"},
		"pieces are one line":          {pod.LogOptions{Tail: ptr(3)}, "three\n\nfi"},
		"more lines than there are":    {pod.LogOptions{Tail: ptr(99)}, "one\ntwo\nthree\n\nfi"},
		"since":                        {pod.LogOptions{Since: at(8)}, "ee\n\nfi"},
		"a limit within a line":        {pod.LogOptions{LimitBytes: ptr(6)}, "one\ntw"},
		"a limit after the last lines": {pod.LogOptions{LimitBytes: ptr(4), Tail: ptr(3)}, "thre"},
		"a limit beyond the end":       {pod.LogOptions{LimitBytes: ptr(1000), Tail: ptr(1)}, "fi"},
		"timestamps begin lines": {pod.LogOptions{Timestamps: true, Tail: ptr(4)},
			"2026-01-02T03:04:06Z two\n2026-01-02T03:04:07Z three\n2026-01-02T03:04:09Z \n2026-01-02T03:04:10Z fi"},
	} {
		t.Run(name, func(t *testing.T) {
			logs, _, _ := newLogs(t)
			place(t, logs, text)
			if got := read(t, logs, test.opts); got != test.want {
				t.Errorf("read %q, want %q", got, test.want)
			}
		})
	}
}

// TestATornLineIsEnded: wherever a line broke off, what stays is an entry, and
// what is written next is whole.
func TestATornLineIsEnded(t *testing.T) {
	const whole = "2026-01-02T03:04:05.123456789Z stdout F one\n"
	for _, torn := range []string{
		"2026-01-02T03:04:06.123456789Z stdout F fi", "2026-01-02T03:04:06.1Z stderr P fi", "2026-01-02T03:04:06Z stdout F first",
	} {
		for cut := 1; cut <= len(torn); cut++ {
			logs, _, _ := newLogs(t)
			place(t, logs, whole+torn[:cut])
			write(t, logs, "next\n")
			for line := range strings.Lines(raw(t, logs)) {
				if !criLine.MatchString(strings.TrimSuffix(line, "\n")) {
					t.Errorf("%q: %q is left", torn[:cut], line)
				}
			}
			if got := read(t, logs, pod.LogOptions{}); !strings.HasPrefix(got, "one\n") || !strings.HasSuffix(got, "next\n") {
				t.Errorf("%q: read %q", torn[:cut], got)
			}
		}
	}
}

// TestWhatIsNoLine is ended, and no more.
func TestWhatIsNoLine(t *testing.T) {
	logs, _, _ := newLogs(t)
	place(t, logs, "\x00\x00\x00")
	write(t, logs, "next\n")
	if text := raw(t, logs); !strings.HasPrefix(text, "\x00\x00\x00\n2") {
		t.Errorf("%q", text)
	}
}

func TestALogThatIsNotThere(t *testing.T) {
	logs, _, _ := newLogs(t)
	err := logs.Read(t.Context(), io.Discard, pod.LogOptions{Pod: web, Container: "app", Attempt: 7})
	var failure *pod.Failure
	if !errors.As(err, &failure) || failure.Kind != pod.NotFound {
		t.Errorf("Read = %v, want NotFound", err)
	}
}

// TestTailsOfAllSizes compares with a reading of everything.
func TestTailsOfAllSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		logs, _, _ := newLogs(t)
		var text strings.Builder
		var lines []string
		line := ""
		for text.Len() < 3*logfile.TailBlock {
			tag, piece := "F", strings.Repeat("x", rng.IntN(200))
			switch rng.IntN(10) {
			case 0:
				piece = strings.Repeat("y", rng.IntN(2*logfile.TailBlock))
			case 1, 2, 3:
				tag = "P"
			}
			fmt.Fprintf(&text, "2026-01-02T03:04:05Z stdout %s %s\n", tag, piece)
			line += piece
			if tag == "F" {
				lines = append(lines, line+"\n")
				line = ""
			}
		}
		if line != "" {
			lines = append(lines, line)
		}
		place(t, logs, text.String())
		for _, n := range []int{1, 2, len(lines) / 2, len(lines) - 1, len(lines), len(lines) + 1} {
			want := strings.Join(lines[max(0, len(lines)-n):], "")
			if got := read(t, logs, pod.LogOptions{Tail: ptr(int64(n))}); got != want {
				t.Fatalf("the last %d of %d lines: %d bytes, want %d", n, len(lines), len(got), len(want))
			}
		}
	}
}

func TestTwoStreamsAtOnce(t *testing.T) {
	logs, _, _ := newLogs(t)
	w, err := logs.Open(logs.Path(web, "app", 0), pod.LogLimits{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("z", 100_000)
	var streams sync.WaitGroup
	for _, stream := range []string{"stdout", "stderr"} {
		streams.Go(func() {
			r := strings.NewReader(stream + " begins\n" + long + "\n" + stream + " ends without a newline")
			if err := w.Copy(stream, r); err != nil {
				t.Error(err)
			}
		})
	}
	streams.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(logs.Path(web, "app", 0))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		m := criLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || len(m[4]) > 16<<10 {
			t.Fatalf("not the CRI format: %.80q", line)
		}
		out[m[2]] += m[4]
		if m[3] == "F" {
			out[m[2]] += "\n"
		}
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if want := stream + " begins\n" + long + "\n" + stream + " ends without a newline\n"; out[stream] != want {
			t.Errorf("%s has %d bytes, want %d", stream, len(out[stream]), len(want))
		}
	}
}

// TestALineGoesOnAfterARestart: podd's end closes the reader; the next podd
// reads on in the middle of the line.
func TestALineGoesOnAfterARestart(t *testing.T) {
	logs, _, _ := newLogs(t)
	copied := func(r io.Reader) {
		w, err := logs.Open(logs.Path(web, "app", 0), pod.LogLimits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Copy("stdout", r); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	copied(&broken{"half a l"})
	if got := read(t, logs, pod.LogOptions{}); got != "half a l" {
		t.Errorf("before the restart: %q", got)
	}
	copied(&broken{"ine\nand the e"})
	copied(strings.NewReader("")) // ended while nobody read
	if got := read(t, logs, pod.LogOptions{}); got != "half a line\nand the e\n" {
		t.Errorf("after it: %q", got)
	}
}

// broken gives its text and then fails as a closed FIFO does.
type broken struct{ text string }

func (b *broken) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, os.ErrClosed
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// TestAFullDisk: the container's output goes on being read, and when there is
// room again the log goes on with a line of its own.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	seen, said := observer.New(zap.WarnLevel)
	logs := logfile.New(logfile.Config{Dir: dir}, zap.New(seen))
	w, err := logs.Open(logs.Path(web, "app", 0), pod.LogLimits{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 44<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	full := strings.NewReader(strings.Repeat("x", 40<<10) + "\n")
	if err := w.Copy("stdout", full); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Copy = %v, want no space left", err)
	}
	if full.Len() > 0 {
		t.Errorf("%d bytes were not read", full.Len())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := w.Copy("stdout", strings.NewReader("room again\n")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, logs, pod.LogOptions{}); !strings.HasSuffix(got, "room again\n") {
		t.Errorf("the log ends with %q", got[max(0, len(got)-40):])
	}
	var warnings []string
	for _, e := range said.All() {
		warnings = append(warnings, fmt.Sprint(e.ContextMap()["error"]))
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "is lost until it can: ") || !strings.Contains(warnings[1], "is written again: up to ") {
		t.Errorf("warnings %q", warnings)
	}
}

// follow reads a growing log; what it has read comes by lines.
func follow(ctx context.Context, t *testing.T, logs *logfile.Logs, done <-chan struct{}) (lines *bufio.Scanner, ended <-chan error) {
	t.Helper()
	r, w := io.Pipe()
	end := make(chan error, 1)
	go func() {
		err := logs.Read(ctx, w, pod.LogOptions{Pod: web, Container: "app", Follow: true, Done: done})
		w.Close()
		end <- err
	}()
	t.Cleanup(func() { r.Close() })
	return bufio.NewScanner(r), end
}

func next(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("next line is %q, want %q (%v)", lines.Text(), want, lines.Err())
	}
}

func TestFollowingUntilTheContainerEnded(t *testing.T) {
	logs, _, _ := newLogs(t)
	w, err := logs.Open(logs.Path(web, "app", 0), pod.LogLimits{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	say := func(text string) {
		if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	say("before\n")
	done := make(chan struct{})
	lines, ended := follow(t.Context(), t, logs, done)
	next(t, lines, "before")
	say("while\n")
	next(t, lines, "while")
	say("last\n")
	close(done)
	next(t, lines, "last")
	if lines.Scan() {
		t.Errorf("one more line: %q", lines.Text())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFollowingEndsWithTheLogAndWithTheReader(t *testing.T) {
	logs, _, _ := newLogs(t)
	place(t, logs, "2026-01-02T03:04:05Z stdout F here\n")
	lines, ended := follow(t.Context(), t, logs, nil)
	next(t, lines, "here")
	ctx, cancel := context.WithCancel(t.Context())
	lines2, ended2 := follow(ctx, t, logs, nil)
	next(t, lines2, "here")
	cancel()
	if err := <-ended2; !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v after its context's end", err)
	}
	if err := logs.Remove(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Read = %v after the log's removal", err)
	}
}

func TestLinksAndOldLogsComeAndGo(t *testing.T) {
	logs, _, links := newLogs(t)
	other := pod.Key{UID: "u2", Namespace: "default", Name: "web"}
	for attempt := range 4 {
		for _, key := range []pod.Key{web, other} {
			for range 2 { // opened again after a restart
				w, err := logs.Open(logs.Path(key, "app", attempt), pod.LogLimits{})
				if err != nil {
					t.Fatal(err)
				}
				w.Close()
			}
		}
	}
	link := func(key pod.Key, attempt int) string {
		return fmt.Sprintf("web_default_app-%s.log", pod.ID(key.UID, "app", attempt))
	}
	expectNames(t, links, link(web, 2), link(web, 3), link(other, 2), link(other, 3))
	expectNames(t, filepath.Join(logs.Dir(web), "app"), "2.log", "3.log")
	target, err := os.Readlink(filepath.Join(links, link(web, 3)))
	if err != nil || target != logs.Path(web, "app", 3) {
		t.Errorf("the link leads to %q (%v)", target, err)
	}
	if keys, err := logs.Pods(); err != nil || len(keys) != 2 || !slices.Contains(keys, web) {
		t.Errorf("Pods = %v, %v", keys, err)
	}
	for range 2 { // none is success
		if err := logs.Remove(t.Context(), web); err != nil {
			t.Fatal(err)
		}
	}
	expectNames(t, links, link(other, 2), link(other, 3))
	if here, err := logs.Exists(web); here || err != nil {
		t.Errorf("Exists = %v, %v", here, err)
	}
	if here, err := logs.Exists(other); !here || err != nil {
		t.Errorf("Exists of another = %v, %v", here, err)
	}
}

func expectNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%s holds %q, want %q", dir, names, want)
	}
}
