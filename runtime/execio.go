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
	"syscall"
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
	out := &finalReader{file: r, left: pipeSize}
	s.copies.Go(func() {
		if _, err := io.Copy(w, out); err != nil {
			_, _ = io.Copy(io.Discard, out) // ends with the process, the deadline or close
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
		go s.resize(ctx, p)
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

func (s *execStreams) resize(ctx context.Context, p containerd.Process) {
	for {
		select {
		case <-s.ended:
			return
		case size, ok := <-s.cmd.Resize:
			if !ok {
				return
			}
			_ = p.Resize(ctx, uint32(size.Width), uint32(size.Height)) // the next one mends it
		}
	}
}

// drain waits until the output of a process that has ended was handed on. What
// it left in the FIFOs is read, however slow the caller takes it; what others
// write is only read for a short time.
func (s *execStreams) drain(ctx context.Context) {
	s.outputs.expire(time.Now().Add(drainTime))
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

// pipeSize is what a FIFO holds at most, see pipe(7).
const pipeSize = 64 << 10

// finalReader reads a FIFO to its end. Once the file's deadline has passed that
// is what is in it then, and no more than left.
type finalReader struct {
	file    *os.File
	expired bool
	left    int
}

func (r *finalReader) Read(p []byte) (int, error) {
	if !r.expired {
		n, err := r.file.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		r.expired = true
		if err := r.file.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	return r.rest(p[:min(len(p), r.left)])
}

// rest reads without waiting.
func (r *finalReader) rest(p []byte) (n int, err error) {
	conn, err := r.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		n, failed = syscall.Read(int(fd), p)
		return true
	})
	if err != nil {
		return 0, err
	}
	if failed != nil || n <= 0 {
		return 0, io.EOF
	}
	r.left -= n
	return n, nil
}
