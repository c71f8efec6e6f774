package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// verdict is what became of a mutant.
type verdict int

const (
	survived verdict = iota
	killed
	hung
)

// memory is what a mutant may take, in KiB of address space.
const memory = 8 << 20

// trial runs the tests against mutants.
type trial struct {
	binary, dir string
	jobs        int
	phases      []phase
}

// phase is a part of the tests and the time that it gets.
type phase struct {
	args  []string
	limit time.Duration
}

// newTrial runs the tests without a mutant: they have to pass, and what they
// take says how long one that hangs is waited for.
func newTrial(binary, dir string, o options) (*trial, error) {
	t := &trial{binary: binary, dir: dir, jobs: o.jobs}
	common := append([]string{"-test.failfast"}, strings.Fields(o.args)...)
	selections := [][]string{{}}
	if o.last != "" {
		selections = [][]string{{"-test.skip", o.last}, {"-test.run", o.last}}
	}
	for _, selection := range selections {
		p := phase{args: append(selection, common...), limit: 10 * time.Minute}
		began := time.Now()
		if v := t.try(0, p); v != survived {
			return nil, fmt.Errorf("the tests fail without any mutant: %s", strings.Join(p.args, " "))
		}
		p.limit = 5*time.Second + 10*time.Since(began)
		t.phases = append(t.phases, p)
	}
	return t, nil
}

// all tries all mutants and gives a verdict for each.
func (t *trial) all(mutants []mutant) []verdict {
	verdicts := make([]verdict, len(mutants))
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range t.jobs {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(mutants); i = next.Add(1) - 1 {
				verdicts[i] = t.one(mutants[i])
				if n := done.Add(1); n%100 == 0 {
					fmt.Fprintf(os.Stderr, "%d of %d\n", n, len(mutants))
				}
			}
		})
	}
	wg.Wait()
	return verdicts
}

func (t *trial) one(m mutant) verdict {
	for _, p := range t.phases {
		if v := t.try(m.id, p); v != survived {
			return v
		}
	}
	return survived
}

// try runs a phase with one mutant switched on; 0 is none. It runs in a shell
// for the limit of memory alone.
func (t *trial) try(id int, p phase) verdict {
	ctx, cancel := context.WithTimeout(context.Background(), p.limit)
	defer cancel()
	script := fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, memory)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, t.binary}, p.args...)...)
	cmd.Dir, cmd.Env = t.dir, append(os.Environ(), variable+"="+strconv.Itoa(id))
	err := cmd.Run()
	switch {
	case err == nil:
		return survived
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return hung
	}
	return killed
}
