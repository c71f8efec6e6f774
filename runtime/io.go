package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/fifo"
	"go.uber.org/zap"
)

// Log is where a container's output goes, in the CRI format.
type Log interface {
	// Copy reads r to its end; what one read gave is written at once. stream is
	// "stdout" or "stderr". Both streams may be copied at the same time.
	Copy(stream string, r io.Reader) error
	Close() error
}

// drainTime bounds the wait for output of a container that has ended: a
// process that it left behind may hold its output open for ever.
const drainTime = 2 * time.Second

// fifoSet are the FIFOs between a shim and podd: <run dir>/io/<id>/.
type fifoSet struct {
	dir    string
	config cio.Config
}

// makeFIFOs makes them, or finds them.
func (c *Client) makeFIFOs(id string, stdin, tty bool) (*fifoSet, error) {
	f := c.fifos(id, stdin, tty)
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for the container's FIFOs: %w", err)
	}
	for _, path := range []string{f.config.Stdin, f.config.Stdout, f.config.Stderr} {
		if path == "" {
			continue
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("make FIFO %s: %w", path, err)
		}
	}
	return f, nil
}

func (c *Client) fifos(id string, stdin, tty bool) *fifoSet {
	dir := filepath.Join(c.cfg.RunDir, "io", id)
	f := &fifoSet{dir: dir, config: cio.Config{Terminal: tty, Stdout: filepath.Join(dir, "stdout")}}
	if stdin {
		f.config.Stdin = filepath.Join(dir, "stdin")
	}
	if !tty {
		f.config.Stderr = filepath.Join(dir, "stderr")
	}
	return f
}

// creator hands the FIFOs to containerd. podd reads them itself, so that it
// can go on after it, or containerd, was started anew.
func (f *fifoSet) creator(string) (cio.IO, error) { return shimIO{f.config}, nil }

type shimIO struct{ config cio.Config }

func (s shimIO) Config() cio.Config { return s.config }
func (shimIO) Cancel()              {}
func (shimIO) Wait()                {}
func (shimIO) Close() error         { return nil }

// pump reads the output of one container into its log.
type pump struct {
	dir    string
	cancel context.CancelFunc
	open   []io.Closer
	done   chan struct{}
}

// stop ends the reading and waits for it; the FIFOs stay.
func (p *pump) stop() {
	p.cancel()
	for _, f := range p.open {
		f.Close()
	}
	<-p.done
}

// pump starts reading a container's FIFOs, if nobody does yet.
func (c *Client) pump(id, logPath string, f *fifoSet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pumps[id] != nil {
		return nil
	}
	log, err := c.cfg.OpenLog(logPath)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	ctx, cancel := context.WithCancel(c.life)
	p := &pump{dir: f.dir, cancel: cancel, done: make(chan struct{})}
	var streams sync.WaitGroup
	for name, path := range map[string]string{"stdout": f.config.Stdout, "stderr": f.config.Stderr} {
		if path == "" {
			continue
		}
		// Opening does not block; reading does until the shim opens its end.
		r, err := fifo.OpenFifo(ctx, path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			cancel()
			return fmt.Errorf("open FIFO %s: %w", path, err)
		}
		p.open = append(p.open, r)
		streams.Go(func() {
			if err := log.Copy(name, r); err != nil && ctx.Err() == nil {
				c.log.Error("could not write a container's log; its output goes on being read",
					zap.String("log", logPath), zap.String("stream", name), zap.Error(err))
			}
		})
	}
	if f.config.Stdin != "" {
		// Held open so that the process does not read an end of file.
		w, err := fifo.OpenFifo(ctx, f.config.Stdin, syscall.O_WRONLY|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			cancel()
			return fmt.Errorf("open FIFO %s: %w", f.config.Stdin, err)
		}
		p.open = append(p.open, w)
	}
	c.pumps[id] = p
	go func() {
		streams.Wait()
		log.Close()
		close(p.done)
	}()
	return nil
}

// drain waits, within bounds, until an ended container's output is in its log.
func (c *Client) drain(id string) {
	c.mu.Lock()
	p := c.pumps[id]
	c.mu.Unlock()
	if p == nil {
		return
	}
	select {
	case <-p.done:
	case <-time.After(drainTime):
	}
}

// endPump ends the reading and removes the FIFOs.
func (c *Client) endPump(id string) {
	c.mu.Lock()
	p := c.pumps[id]
	delete(c.pumps, id)
	c.mu.Unlock()
	if p != nil {
		p.stop()
	}
	os.RemoveAll(filepath.Join(c.cfg.RunDir, "io", id))
}
