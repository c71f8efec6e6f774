package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	containerd "github.com/containerd/containerd/v2/client"

	"github.com/podd-io/podd/pod"
)

// Attach joins a container's own streams: output from now on, until it has
// ended; when ctx ends, its error. The container is never held up by a caller
// that takes its output slowly: such a one is sent away. Any number of callers
// may be attached at once.
//
// The container's input ends with podd, if anybody was attached to it: the shim
// sees the last writer go.
func (c *Client) Attach(ctx context.Context, id string, opts pod.AttachOptions) error {
	ctx, cancel := context.WithCancel(c.Context(ctx))
	defer cancel()
	task, err := c.task(ctx, id)
	if err != nil {
		return attachFailure(err)
	}
	p := c.pumpOf(id)
	if task == nil || p == nil {
		return &pod.Failure{Kind: pod.NotFound, Message: "failed to attach to container: it does not run"}
	}
	l := p.fan.listen()
	defer p.fan.leave(l)
	if opts.Stdin != nil {
		in, err := p.openInput()
		if err != nil {
			return attachFailure(err)
		}
		go p.feed(ctx, task, in, opts)
	}
	if opts.Resize != nil {
		go follow(ctx, task, opts.Resize)
	}
	return deliver(ctx, l, opts.Stdio)
}

func attachFailure(err error) error {
	return &pod.Failure{Kind: kindOf(err), Message: "failed to attach to container: " + err.Error()}
}

// deliver hands output on until its end.
func deliver(ctx context.Context, l *listener, to pod.Stdio) error {
	for {
		pieces, err := l.take(ctx)
		if err != nil || len(pieces) == 0 {
			return err
		}
		for _, p := range pieces {
			w := to.Stdout
			if p.stream == "stderr" {
				w = to.Stderr
			}
			if w == nil {
				continue
			}
			if _, err := w.Write(p.data); err != nil {
				return fmt.Errorf("pass on output: %w", err)
			}
		}
	}
}

// openInput opens the container's input for one more writer. It is kept open by
// the pump, so that it does not end with one who detaches.
func (p *pump) openInput() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inputEnded {
		return nil, errors.New("its input was closed")
	}
	if p.input == nil {
		held, err := openInput(p.stdin)
		if err != nil {
			return nil, err
		}
		p.input = held
	}
	return openInput(p.stdin)
}

// openInput fails at once when the shim no longer reads.
func openInput(path string) (*os.File, error) {
	if path == "" {
		return nil, errors.New("it takes no input")
	}
	f, err := openFIFO(path, os.O_WRONLY)
	if errors.Is(err, syscall.ENXIO) {
		return nil, errors.New("its input was closed")
	}
	return f, err
}

// closeInput ends the container's input; more than once is fine.
func (p *pump) closeInput() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inputEnded = true
	if p.input != nil {
		p.input.Close()
		p.input = nil
	}
}

// feed passes a caller's input on until it ends, or the caller goes.
func (p *pump) feed(ctx context.Context, task containerd.Task, in *os.File, opts pod.AttachOptions) {
	stop := context.AfterFunc(ctx, func() { in.Close() }) // a write under way fails
	defer stop()
	_, _ = io.Copy(in, opts.Stdin) // either end may be gone: then there is nothing to feed
	in.Close()
	if opts.StdinOnce {
		p.closeInput()
		_ = task.CloseIO(context.WithoutCancel(ctx), containerd.WithStdinCloser) // one that ended has none
	}
}

// follow gives a process' terminal the sizes of its caller's.
func follow(ctx context.Context, p containerd.Process, sizes <-chan pod.TerminalSize) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_ = p.Resize(ctx, uint32(size.Width), uint32(size.Height)) // the next one mends it
		}
	}
}
