package fake

import (
	"context"
	"io"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// running finds the program of a running container.
func (c Containers) running(ctx context.Context, kind pod.Kind, id string) (p Program, err error) {
	err = c.s.effect(ctx, kind, "", "", func() error {
		found, _ := c.s.world.find(id)
		if found == nil || found.State != pod.Running {
			return &pod.Failure{Kind: pod.NotFound, Message: "the container does not run"}
		}
		p = found.program
		return nil
	})
	return p, err
}

// Attach implements agent.Attacher.
func (c Containers) Attach(ctx context.Context, id string, opts pod.AttachOptions) error {
	p, err := c.running(ctx, Attach, id)
	if err != nil {
		return err
	}
	if p.Attach != nil {
		return p.Attach(ctx, opts)
	}
	for c.runs(id) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return nil
}

func (c Containers) runs(id string) bool {
	w := c.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	found, _ := w.find(id)
	return found != nil && found.State == pod.Running
}

// CopyOut implements agent.Files: the archive is the file.
func (c Containers) CopyOut(ctx context.Context, id, path string, w io.Writer) error {
	p, err := c.running(ctx, Copy, id)
	if err != nil {
		return err
	}
	text, ok := p.Files[path]
	if !ok {
		return &pod.Failure{Kind: pod.NotFound, Message: path + ": no such file or directory"}
	}
	for piece := range slices.Chunk([]byte(text), 1024) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// CopyIn implements agent.Files: a file takes the place of the archive.
func (c Containers) CopyIn(ctx context.Context, id, path string, r io.Reader, preserve bool) error {
	p, err := c.running(ctx, Copy, id)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if _, ok := p.Files[path]; !ok {
		return &pod.Failure{Kind: pod.NotFound, Message: path + ": no such file or directory"}
	}
	if !preserve {
		text = append(text, " (not preserved)"...)
	}
	p.Files[path] = string(text)
	return nil
}

// Dialer implements agent.Dialer.
type Dialer struct{ s *Session }

// Dial implements agent.Dialer. The connection can be half-closed.
func (d Dialer) Dial(ctx context.Context, p *corev1.Pod, port uint16) (conn net.Conn, err error) {
	var serve func(uint16, net.Conn)
	err = d.s.effect(ctx, Dial, "", "", func() error {
		for _, c := range d.s.world.of(p.UID).containers {
			if c.State == pod.Running && c.program.Serve != nil {
				serve = c.program.Serve
				return nil
			}
		}
		return &pod.Failure{Kind: pod.Transient, Message: "connection refused"}
	})
	if err != nil {
		return nil, err
	}
	near, far := newPipe()
	go serve(port, far)
	return near, nil
}

// halfPipe is one end of a connection whose directions close by themselves.
type halfPipe struct {
	net.Conn // nil: deadlines and addresses are not for here
	in       *io.PipeReader
	out      *io.PipeWriter
}

func newPipe() (near, far *halfPipe) {
	in1, out1 := io.Pipe()
	in2, out2 := io.Pipe()
	return &halfPipe{in: in1, out: out2}, &halfPipe{in: in2, out: out1}
}

func (h *halfPipe) Read(p []byte) (int, error)  { return h.in.Read(p) }
func (h *halfPipe) Write(p []byte) (int, error) { return h.out.Write(p) }
func (h *halfPipe) CloseWrite() error           { return h.out.Close() }

func (h *halfPipe) Close() error {
	h.out.Close()
	return h.in.Close()
}
