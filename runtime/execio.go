package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	containerd "github.com/containerd/containerd/v2/client"

	"github.com/podd-io/podd/pod"
)

// execStreams connect an exec'd process to its caller.
type execStreams struct {
	id      string
	cmd     pod.ExecCommand
	fifos   fifos
	outputs *outputs
	// stdin is nil when there is no input.
	stdin *os.File
	// copies are those of the output.
	copies sync.WaitGroup
	// exited is true once the process has ended.
	exited atomic.Bool
	// ended is closed by close.
	ended chan struct{}
}

// execDir holds the FIFOs of exec'd processes, one directory each.
func (c *Client) execDir() string { return filepath.Join(c.cfg.RunDir, "exec") }

// openExec makes the FIFOs and starts copying the output. The caller closes
// the streams, whether or not a process came.
func (c *Client) openExec(cmd pod.ExecCommand) (*execStreams, error) {
	id := "exec-" + rand.Text()
	s := &execStreams{
		id: id, cmd: cmd, ended: make(chan struct{}),
		fifos: newFIFOs(filepath.Join(c.execDir(), id), cmd.Stdin != nil, cmd.TTY),
	}
	err := s.fifos.make()
	if err == nil {
		s.outputs, err = s.fifos.open(true)
	}
	if err == nil && cmd.Stdin != nil {
		s.stdin, err = openFIFO(s.fifos.config.Stdin, os.O_RDWR)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("make the streams: %w", err)
	}
	s.copy("stdout", cmd.Stdout)
	s.copy("stderr", cmd.Stderr)
	return s, nil
}

// copy reads a stream to its end; once its writer fails, the rest is thrown
// away, so that the process is not held up.
func (s *execStreams) copy(stream string, w io.Writer) {
	r := s.outputs.files[stream]
	if r == nil {
		return
	}
	if w == nil {
		w = io.Discard
	}
	s.copies.Go(func() {
		out := &tailReader{file: r, ended: &s.exited, left: afterExit}
		if _, err := io.Copy(w, out); err != nil {
			_, _ = io.Copy(io.Discard, out) // ends with the process or close
		}
	})
}

// started is called once the process runs: the shim has its ends open.
func (s *execStreams) started(ctx context.Context, p containerd.Process) {
	s.outputs.release()
	if s.stdin != nil {
		// It ends when the caller's input does, or with the first write after
		// close; a caller that reads from a network ends that itself.
		go s.feed(ctx, p)
	}
	if s.cmd.Resize != nil {
		go follow(ctx, p, s.cmd.Resize)
	}
}

// feed copies the input and closes the process' own at its end.
func (s *execStreams) feed(ctx context.Context, p containerd.Process) {
	_, _ = io.Copy(s.stdin, s.cmd.Stdin) // either end may be gone: then there is nothing to feed
	select {
	case <-s.ended:
	default:
		_ = p.CloseIO(ctx, containerd.WithStdinCloser) // a process that ended has none
		s.stdin.Close()
	}
}

// drain waits until the output of a process that has ended was handed on,
// however slow the caller takes it.
func (s *execStreams) drain(ctx context.Context) {
	s.exited.Store(true)
	s.outputs.expire(time.Now().Add(drainTime)) // for reads under way
	done := make(chan struct{})
	go func() {
		s.copies.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// close ends all copying and removes the FIFOs.
func (s *execStreams) close() {
	close(s.ended)
	if s.outputs != nil {
		s.outputs.close()
	}
	if s.stdin != nil {
		s.stdin.Close()
	}
	os.RemoveAll(s.fifos.dir)
}

// afterExit bounds what is read after the process' end. What it wrote itself is
// in the pipe between it and the shim and in the FIFO, 64 KiB each, and in the
// shim's buffer.
const afterExit = 256 << 10

// tailReader reads a process' output to its end. Once the process has ended,
// others may hold its output open: then that is when nothing comes for a while.
type tailReader struct {
	file  *os.File
	ended *atomic.Bool
	left  int
}

func (r *tailReader) Read(p []byte) (int, error) {
	ended := r.ended.Load()
	if ended {
		if r.left <= 0 {
			return 0, io.EOF
		}
		p = p[:min(len(p), r.left)]
		if err := r.file.SetReadDeadline(time.Now().Add(drainTime)); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Read(p)
	if ended {
		r.left -= n
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}
