package runtime

import (
	"context"
	"fmt"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podd-io/podd/pod"
)

// Exec runs a command in a running container to its end and returns its exit
// code. When ctx ends the process is killed and ctx's error returned. Output
// that a process left behind by the command still writes is waited for only
// shortly.
func (c *Client) Exec(ctx context.Context, id string, cmd pod.ExecCommand) (int, error) {
	ctx = c.Context(ctx)
	task, proc, err := c.execTarget(ctx, id)
	if err != nil {
		return 0, execFailure(err)
	}
	proc.Args, proc.Terminal = cmd.Args, cmd.TTY
	streams, err := c.openExec(cmd)
	if err != nil {
		return 0, execFailure(err)
	}
	defer streams.close()
	process, err := task.Exec(ctx, streams.id, proc, streams.fifos.creator)
	if err != nil {
		return 0, execFailure(err)
	}
	defer c.endProcess(ctx, process)
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

func execFailure(err error) error {
	return &pod.Failure{Kind: kindOf(err), Message: "failed to exec in container: " + trimRuntime(err.Error())}
}

// endProcess kills what still runs and removes it. What can't be removed goes
// with its container.
func (c *Client) endProcess(ctx context.Context, p containerd.Process) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := p.Delete(ctx, containerd.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
		_ = p.Kill(ctx, syscall.SIGKILL)
	}
}
