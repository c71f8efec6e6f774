package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/podd-io/podd/agent"
)

// keptStates is how many files of QUIT signals stay.
const keptStates = 4

// self tells the agent's callers about podd as a process. It implements agent.Self.
type self struct{ d *podd }

func (s self) Phases() []agent.Phase { return s.d.phases.get() }

func (s self) Log() []byte { return s.d.tail.get() }

func (s self) State(w io.Writer) error { return s.d.writeState(w) }

// writeState writes down what podd does now. Every goroutine is stopped for a
// moment.
func (d *podd) writeState(to io.Writer) error {
	w := bufio.NewWriter(to)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	build := readBuild()
	fmt.Fprintf(w, "podd %s (commit %s, %s), process %d, started %s, now %s\n", build.Version, build.Commit, build.GoVersion,
		os.Getpid(), d.started.Format(time.RFC3339Nano), time.Now().Format(time.RFC3339Nano))
	for _, p := range d.phases.get() {
		took := "not over"
		if !p.Ended.IsZero() {
			took = p.Ended.Sub(p.Began).String()
		}
		fmt.Fprintf(w, "start: %s: %s\n", p.Name, took)
	}
	fmt.Fprintf(w, "heap: %d KiB in use, %d KiB from the system; %d collections; %d goroutines\n",
		mem.HeapInuse>>10, mem.Sys>>10, mem.NumGC, runtime.NumGoroutine())
	if a := d.agent.Load(); a != nil {
		a.WriteState(w)
	}
	fmt.Fprintln(w)
	return errors.Join(pprof.Lookup("goroutine").WriteTo(w, 2), w.Flush())
}

// heedQuit writes podd's state to a file at every QUIT signal, until ctx ends:
// Go's own answer to it would be podd's end. ABRT has that still.
func (d *podd) heedQuit(ctx context.Context) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGQUIT)
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
		}
		path, err := d.dumpState(time.Now())
		if err != nil {
			d.log.Error("could not write podd's state down; podd goes on", zap.Error(err))
			continue
		}
		d.log.Info("wrote podd's state down, as a QUIT signal asked for; podd goes on", zap.String("file", path))
	}
}

// dumpState writes a file into the run directory and removes the oldest ones.
func (d *podd) dumpState(now time.Time) (string, error) {
	path := filepath.Join(d.cfg.RunDir, now.UTC().Format("state-20060102-150405.000.txt"))
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	if err := errors.Join(d.writeState(f), f.Close(), os.Rename(f.Name(), path)); err != nil {
		return "", err
	}
	all, err := filepath.Glob(filepath.Join(d.cfg.RunDir, "state-*.txt"))
	if err != nil {
		return "", err
	}
	slices.Sort(all) // by time
	for _, old := range all[:max(0, len(all)-keptStates)] {
		err = errors.Join(err, os.Remove(old))
	}
	return path, err
}
