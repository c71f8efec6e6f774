// mutate changes a package in small ways, one at a time, and says which changes
// its tests do not notice. `make mutate` runs it on podd's core.
//
//	mutate [flags] PACKAGE [FILE.go[:LINE]...]
//
// All mutants are compiled into one test binary, each behind a switch that an
// environment variable turns on, so that a mutant costs one run of the tests and
// no build. The source tree is never changed: the compiler is given an overlay.
// (The known tools of this kind build once per mutant, in a copy of the whole
// repository, and have no mutant that removes a statement.)
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

// options are the command line.
type options struct {
	pkg   string
	only  []string // FILE.go or FILE.go:LINE; empty for all
	tags  string
	args  string
	last  string
	jobs  int
	least float64
	list  bool
}

func main() {
	var o options
	flag.StringVar(&o.tags, "tags", "", "build tags")
	flag.StringVar(&o.args, "args", "", "further arguments of the test binary")
	flag.StringVar(&o.last, "last", "", "slow tests (a regular expression): run only when the others pass")
	flag.IntVar(&o.jobs, "p", runtime.NumCPU(), "mutants tried at a time")
	flag.Float64Var(&o.least, "least", 0, "fail if the score is less, in percent")
	flag.BoolVar(&o.list, "list", false, "list the mutants and try none")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.pkg, o.only = flag.Arg(0), flag.Args()[1:]
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	began := time.Now()
	src, err := load(o.pkg, o.tags)
	if err != nil {
		return err
	}
	mutants := src.mutants(o.only)
	if o.list {
		for _, m := range mutants {
			fmt.Println(m)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := src.build(dir, o.tags)
	if err != nil {
		return err
	}
	t, err := newTrial(binary, src.dir, o)
	if err != nil {
		return err
	}
	return report(mutants, t.all(mutants), time.Since(began), o.least)
}

// report prints the survivors and the score.
func report(mutants []mutant, verdicts []verdict, took time.Duration, least float64) error {
	count := map[verdict]int{}
	for i, m := range mutants {
		if count[verdicts[i]]++; verdicts[i] == survived {
			fmt.Println(m)
		}
	}
	killed := len(mutants) - count[survived]
	score := 100 * float64(killed) / float64(max(1, len(mutants)))
	fmt.Printf("%d mutants, %d killed (%d of them by a time limit), %d survived: %.1f %% in %v\n",
		len(mutants), killed, count[hung], count[survived], score, took.Round(time.Second))
	if score < least {
		return fmt.Errorf("the score is less than %v %%", least)
	}
	return nil
}
