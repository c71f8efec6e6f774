package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/pkg/cio"
)

// fifos are the FIFOs between a shim and podd that carry one process' input
// and output: <dir>/stdin, stdout, stderr. The shim holds both ends of each
// open until the process' output has ended, so podd may come and go.
type fifos struct {
	dir    string
	config cio.Config
}

// newFIFOs names them. With a terminal there is no stderr.
func newFIFOs(dir string, stdin, tty bool) fifos {
	f := fifos{dir: dir, config: cio.Config{Terminal: tty, Stdout: filepath.Join(dir, "stdout")}}
	if stdin {
		f.config.Stdin = filepath.Join(dir, "stdin")
	}
	if !tty {
		f.config.Stderr = filepath.Join(dir, "stderr")
	}
	return f
}

// make makes them, or finds them.
func (f fifos) make() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make a directory for FIFOs: %w", err)
	}
	for _, path := range []string{f.config.Stdin, f.config.Stdout, f.config.Stderr} {
		if path == "" {
			continue
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make FIFO %s: %w", path, err)
		}
	}
	return nil
}

// creator hands the FIFOs to containerd's client, which is not to read them.
func (f fifos) creator(string) (cio.IO, error) { return named{f.config}, nil }

type named struct{ config cio.Config }

func (n named) Config() cio.Config { return n.config }
func (named) Cancel()              {}
func (named) Wait()                {}
func (named) Close() error         { return nil }

// outputs are the reading ends of stdout and stderr, by stream.
type outputs struct {
	files map[string]*os.File
	// held are writing ends of podd's own, until the shim has opened its: a
	// FIFO without a writer reads as ended, and one without a reader can't be
	// opened for writing.
	held []*os.File
}

// open opens the reading ends. With hold they do not read as ended before
// release, although no shim has opened them yet.
func (f fifos) open(hold bool) (*outputs, error) {
	o := &outputs{files: map[string]*os.File{}}
	for stream, path := range map[string]string{"stdout": f.config.Stdout, "stderr": f.config.Stderr} {
		if path == "" {
			continue
		}
		if err := o.add(stream, path, hold); err != nil {
			o.close()
			return nil, fmt.Errorf("open FIFO: %w", err)
		}
	}
	return o, nil
}

func (o *outputs) add(stream, path string, hold bool) error {
	if hold {
		w, err := openFIFO(path, os.O_RDWR)
		if err != nil {
			return err
		}
		o.held = append(o.held, w)
	}
	r, err := openFIFO(path, os.O_RDONLY)
	if err == nil {
		o.files[stream] = r
	}
	return err
}

// openFIFO does not block: O_RDWR opens either end of a FIFO at once, see
// fifo(7).
func openFIFO(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
}

// release lets the output end when the shim's does.
func (o *outputs) release() {
	for _, f := range o.held {
		f.Close()
	}
	o.held = nil
}

// expire lets reading end at a time, whoever still holds the output open.
func (o *outputs) expire(at time.Time) {
	for _, f := range o.files {
		_ = f.SetReadDeadline(at) // of a closed one: it has ended
	}
}

// close ends all reading; reads under way fail.
func (o *outputs) close() {
	o.release()
	for _, f := range o.files {
		f.Close()
	}
}
