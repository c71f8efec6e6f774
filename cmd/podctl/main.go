// Command podctl talks to podd as kubectl talks to a cluster: the same verbs,
// flags, columns, messages and exit codes, over podd's control endpoint. Each
// verb has a file; nobody imports it.
package main

import (
	"context"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"
)

func main() {
	s := &session{
		in:     os.Stdin,
		out:    os.Stdout,
		errOut: os.Stderr,
		now:    time.Now,
		suffix: rand.String,
		getenv: os.Getenv,
	}
	os.Exit(run(context.Background(), s, os.Args[1:]))
}

// run runs one command line and returns its exit code: 0, 1 for any error, and
// for exec what the command ended with.
func run(ctx context.Context, s *session, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.errOut)
	return s.report(root.ExecuteContext(ctx))
}
