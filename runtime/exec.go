package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podd-io/podd/pod"
)

// Exec runs a command in a running container to its end and returns its exit
// code. When ctx ends the process is killed and ctx's error returned. Output
// that a process left behind by the command still writes is waited for only
// shortly.
func (c *Client) Exec(ctx context.Context, id string, cmd pod.ExecCommand) (int, error) {
	code, err := c.exec(ctx, id, cmd)
	if err != nil && ctx.Err() != nil {
		return 0, ctx.Err() // whatever it was that ctx's end broke off
	}
	return code, err
}

func (c *Client) exec(ctx context.Context, id string, cmd pod.ExecCommand) (int, error) {
	ctx, cancel := context.WithCancel(c.Context(ctx))
	defer cancel() // ends what follows the caller's terminal
	task, proc, err := c.execTarget(ctx, id)
	if err != nil {
		return 0, execFailure(err)
	}
	prepareProcess(proc, cmd)
	streams, err := c.openExec(cmd)
	if err != nil {
		return 0, execFailure(err)
	}
	defer streams.close()
	process, err := task.Exec(ctx, streams.id, proc, streams.fifos.creator)
	if err != nil {
		return 0, execFailure(err)
	}
	defer func() { endProcess(ctx, process, streams.exited.Load()) }()
	code, err := streams.run(ctx, process)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, execFailure(err)
	}
	return code, nil
}

// run starts the process and waits for it and its output.
func (s *execStreams) run(ctx context.Context, process containerd.Process) (int, error) {
	exited, err := process.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := process.Start(ctx); err != nil {
		return 0, err
	}
	s.started(ctx, process)
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case st := <-exited:
		if st.Error() != nil {
			return 0, st.Error()
		}
		s.drain(ctx)
		return int(st.ExitCode()), nil
	}
}

// execTarget is a container's task and a copy of how its process runs, which
// a further process in it inherits.
func (c *Client) execTarget(ctx context.Context, id string) (containerd.Task, *specs.Process, error) {
	ctr, err := c.cd.LoadContainer(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	task, err := ctr.Task(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	spec, err := ctr.Spec(ctx)
	if err != nil {
		return nil, nil, err
	}
	if spec.Process == nil {
		return nil, nil, fmt.Errorf("container %s has no process in its spec", id)
	}
	return task, spec.Process, nil
}

// prepareProcess makes a container's process the command's.
func prepareProcess(proc *specs.Process, cmd pod.ExecCommand) {
	proc.Args, proc.Terminal, proc.ConsoleSize = cmd.Args, cmd.TTY, nil
	if !cmd.TTY {
		return
	}
	if !slices.ContainsFunc(proc.Env, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		proc.Env = append(proc.Env, "TERM=xterm") // as a kubelet's runtimes do
	}
	if s := cmd.Size; s != (pod.TerminalSize{}) {
		proc.ConsoleSize = &specs.Box{Width: uint(s.Width), Height: uint(s.Height)}
	}
}

func execFailure(err error) error {
	return &pod.Failure{Kind: kindOf(err), Message: "failed to exec in container: " + trimRuntime(err.Error())}
}

// The shim waits for a process' output before it deletes it, and for as long as
// its caller does.
const deleteTime = 500 * time.Millisecond

// endProcess removes a process, which it kills first unless it has ended. What
// can't be removed goes with its container.
func endProcess(ctx context.Context, p containerd.Process, exited bool) {
	ctx = context.WithoutCancel(ctx)
	if !exited {
		killing, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_ = containerd.WithProcessKill(killing, p)
	}
	deleting, cancel := context.WithTimeout(ctx, deleteTime)
	defer cancel()
	_, _ = p.Delete(deleting)
}
