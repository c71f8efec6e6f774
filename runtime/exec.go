package runtime

import (
	"context"
	"crypto/rand"
	"io"
	"path/filepath"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podd-io/podd/pod"
)

// Exec runs a command in a running container to its end and returns its exit
// code. When ctx ends the process is killed and ctx's error returned.
func (c *Client) Exec(ctx context.Context, id string, cmd pod.ExecCommand) (int, error) {
	ctx = c.Context(ctx)
	task, spec, err := c.running(ctx, id)
	if err != nil {
		return 0, err
	}
	proc := *spec.Process
	proc.Args, proc.Terminal = cmd.Args, cmd.TTY
	stdin := newCloser(cmd.Stdin)
	process, err := task.Exec(ctx, rand.Text(), &proc, c.execIO(cmd, stdin))
	if err != nil {
		return 0, execFailure(err)
	}
	defer endProcess(ctx, process)
	exited, err := process.Wait(ctx)
	if err != nil {
		return 0, execFailure(err)
	}
	if err := process.Start(ctx); err != nil {
		return 0, execFailure(err)
	}
	go stdin.closeAfter(ctx, process)
	stopResize := resize(ctx, process, cmd.Resize)
	defer stopResize()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case st := <-exited:
		process.IO().Wait()
		if st.Error() != nil {
			return 0, execFailure(st.Error())
		}
		return int(st.ExitCode()), nil
	}
}

func (c *Client) running(ctx context.Context, id string) (containerd.Task, *specs.Spec, error) {
	ctr, err := c.cd.LoadContainer(ctx, id)
	if err != nil {
		return nil, nil, execFailure(err)
	}
	task, err := ctr.Task(ctx, nil)
	if err != nil {
		return nil, nil, execFailure(err)
	}
	spec, err := ctr.Spec(ctx)
	if err != nil {
		return nil, nil, execFailure(err)
	}
	return task, spec, nil
}

func execFailure(err error) error {
	return &pod.Failure{Kind: kindOf(err), Message: "exec: " + trimRuntime(err.Error())}
}

func (c *Client) execIO(cmd pod.ExecCommand, stdin *closer) cio.Creator {
	stdout, stderr := orDiscard(cmd.Stdout), orDiscard(cmd.Stderr)
	opts := []cio.Opt{cio.WithFIFODir(filepath.Join(c.cfg.RunDir, "exec"))}
	if stdin == nil {
		opts = append(opts, cio.WithStreams(nil, stdout, stderr))
	} else {
		opts = append(opts, cio.WithStreams(stdin, stdout, stderr))
	}
	if cmd.TTY {
		opts = append(opts, cio.WithTerminal)
	}
	return cio.NewCreator(opts...)
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// endProcess kills what still runs and removes it.
func endProcess(ctx context.Context, p containerd.Process) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := p.Delete(ctx, containerd.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
		_ = p.Kill(ctx, syscall.SIGKILL) // it goes with its container at the latest
	}
}

func resize(ctx context.Context, p containerd.Process, sizes <-chan pod.TerminalSize) (stop func()) {
	if sizes == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s, ok := <-sizes:
				if !ok {
					return
				}
				_ = p.Resize(ctx, uint32(s.Width), uint32(s.Height)) // a lost resize is redrawn by the next
			}
		}
	}()
	return cancel
}

// closer tells when its reader has come to the end, so that the process' input
// can be closed then.
type closer struct {
	io.Reader
	eof chan struct{}
}

func newCloser(r io.Reader) *closer {
	if r == nil {
		return nil
	}
	return &closer{Reader: r, eof: make(chan struct{})}
}

func (c *closer) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil {
		select {
		case <-c.eof:
		default:
			close(c.eof)
		}
	}
	return n, err
}

func (c *closer) closeAfter(ctx context.Context, p containerd.Process) {
	if c == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-c.eof:
		_ = p.CloseIO(ctx, containerd.WithStdinCloser) // gone already: nothing to close
	}
}
