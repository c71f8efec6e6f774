package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestQuitWritesTheStateDown. That podd itself does not end by it is shown in
// integration.
func TestQuitWritesTheStateDown(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	d := &podd{cfg: Config{RunDir: t.TempDir()}, log: zap.New(core), started: time.Now()}
	d.phases.begin("prepare")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	// Taken here too: the signal may come before heedQuit has begun.
	own := make(chan os.Signal, 1)
	signal.Notify(own, syscall.SIGQUIT)
	defer signal.Stop(own)
	go func() { done <- d.heedQuit(ctx) }()
	var files []string
	const path = "state-*.txt"
	for end := time.Now().Add(10 * time.Second); len(files) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if logs.Len() == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGQUIT); err != nil {
				t.Fatal(err)
			}
		}
		files, _ = filepath.Glob(filepath.Join(d.cfg.RunDir, path))
	}
	cancel()
	if err := <-done; err != nil || len(files) == 0 {
		t.Fatalf("%v %v", err, files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, has := range []string{"podd ", "start: prepare: not over\n", "goroutines\n", "heedQuit(", "KiB in use"} {
		if !strings.Contains(string(text), has) {
			t.Errorf("no %q in\n%s", has, text)
		}
	}
	if all := logs.FilterField(zap.String("file", files[0])).All(); len(all) > 1 || logs.FilterLevelExact(zap.ErrorLevel).Len() > 0 {
		t.Errorf("logged %v", logs.All())
	}
}

func TestOnlySomeStatesAreKept(t *testing.T) {
	d := &podd{cfg: Config{RunDir: t.TempDir()}, log: zap.NewNop()}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i := range keptStates + 3 {
		if _, err := d.dumpState(now.Add(time.Duration(i) * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(d.cfg.RunDir, "*"))
	if len(files) != keptStates || filepath.Base(files[keptStates-1]) != "state-20260501-120000.006.txt" {
		t.Errorf("%v", files)
	}
	if stat, err := os.Stat(files[0]); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", stat, err)
	}
}

func TestTheEndOfTheLogIsKept(t *testing.T) {
	l := &logTail{}
	line := strings.Repeat("x", 999) + "\n"
	for range 1000 {
		if n, err := io.WriteString(l, line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	_, _ = io.WriteString(l, "the last\n") // it never fails
	got := string(l.get())
	if len(got) > logTailSize || len(got) < logTailSize-len(line) || !strings.HasSuffix(got, "x\nthe last\n") || len(strings.SplitN(got, "\n", 2)[0]) != 999 {
		t.Errorf("%d bytes, from %.20q to %.20q", len(got), got, got[len(got)-20:])
	}
	if cap(l.kept) > 3*logTailSize {
		t.Errorf("%d bytes are held", cap(l.kept))
	}
}

func TestPhases(t *testing.T) {
	var p phases
	p.end() // of nothing
	p.begin("one")
	p.begin("two")
	if all := p.get(); len(all) != 2 || !all[0].Ended.Equal(all[1].Began) || !all[1].Ended.IsZero() {
		t.Errorf("%v", all)
	}
	p.end()
	ended := p.get()[1].Ended
	p.end()
	if all := p.get(); all[1].Ended.IsZero() || !all[1].Ended.Equal(ended) {
		t.Errorf("%v", all)
	}
}
