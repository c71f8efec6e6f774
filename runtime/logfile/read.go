package logfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/podd-io/podd/pod"
)

// Read writes a container's log to w, until its end or, with Follow, until
// opts.Done is closed and everything was read, the log is removed, or ctx ends.
func (l *Logs) Read(ctx context.Context, w io.Writer, opts pod.LogOptions) error {
	path := l.Path(opts.Pod, opts.Container, opts.Attempt)
	lines := int64(-1)
	if opts.Tail != nil {
		lines = max(*opts.Tail, 0)
	}
	c, err := openChain(path, lines)
	if errors.Is(err, os.ErrNotExist) {
		return &pod.Failure{Kind: pod.NotFound, Message: fmt.Sprintf("container %q has no log of attempt %d", opts.Container, opts.Attempt)}
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer c.Close()
	p := newPrinter(c, w, opts)
	if opts.Follow {
		err = follow(ctx, path, p, opts.Done)
	} else {
		err = p.finish()
	}
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// follow prints what is there and what comes. The watch is set before the
// first reading, so that nothing falls between the two.
func follow(ctx context.Context, path string, p *printer, done <-chan struct{}) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the log: %w", err)
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch the log: %w", err)
	}
	for {
		if err := p.print(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return p.finish()
		case e := <-watch.Events:
			if e.Name == path && e.Has(fsnotify.Remove) {
				return p.finish()
			}
		case err := <-watch.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // it only means that something happened
				return fmt.Errorf("watch the log: %w", err)
			}
		}
	}
}

// errLimit ends the reading once as much was written as was asked for.
var errLimit = errors.New("limit reached")

// printer turns lines of the CRI format into what a reader wants to see.
type printer struct {
	r    *bufio.Reader
	w    *bufio.Writer
	opts pod.LogOptions
	// left is how many bytes may still be written, if opts limit them.
	left int64
	// torn is the beginning of a line that was not wholly written yet.
	torn []byte
	// inside means that the last piece was part of a line that goes on.
	inside bool
}

func newPrinter(r io.Reader, w io.Writer, opts pod.LogOptions) *printer {
	p := &printer{r: bufio.NewReaderSize(r, 64<<10), w: bufio.NewWriterSize(w, 32<<10), opts: opts}
	if opts.LimitBytes != nil {
		p.left = *opts.LimitBytes
	}
	return p
}

// print prints all whole lines that are there.
func (p *printer) print() error {
	err := p.lines()
	return errors.Join(err, p.w.Flush())
}

// finish prints all that is there; no more will come.
func (p *printer) finish() error {
	err := p.lines()
	if err == nil && len(p.torn) > 0 {
		err = p.line(p.torn)
	}
	return errors.Join(err, p.w.Flush())
}

func (p *printer) lines() error {
	for {
		line, err := p.r.ReadBytes('\n')
		p.torn = append(p.torn, line...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if err := p.line(p.torn); err != nil {
			return err
		}
		p.torn = p.torn[:0]
	}
}

func (p *printer) line(line []byte) error {
	e, ok := parse(line)
	if !ok {
		return nil
	}
	begins := !p.inside
	p.inside = e.partial
	if e.at.Before(p.opts.Since) {
		return nil
	}
	if p.opts.Timestamps && begins {
		if err := p.emit(append(e.stamp[:len(e.stamp):len(e.stamp)], ' ')); err != nil {
			return err
		}
	}
	return p.emit(e.text)
}

func (p *printer) emit(text []byte) error {
	if p.opts.LimitBytes == nil {
		_, err := p.w.Write(text)
		return err
	}
	text = text[:min(int64(len(text)), p.left)]
	if _, err := p.w.Write(text); err != nil {
		return err
	}
	if p.left -= int64(len(text)); p.left == 0 {
		return errLimit
	}
	return nil
}
