package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/podd-io/podd/pod"
)

// errLimit ends the reading once as much was written as was asked for.
var errLimit = errors.New("limit reached")

// Read writes a container's log to w, until its end or, with Follow, until
// opts.Done is closed and everything was read, or ctx ends.
func (l *Logs) Read(ctx context.Context, w io.Writer, opts pod.LogOptions) error {
	path := l.Path(opts.Pod, opts.Container, opts.Attempt)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return &pod.Failure{Kind: pod.NotFound, Message: fmt.Sprintf("container %q has no log of attempt %d", opts.Container, opts.Attempt)}
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer f.Close()
	if opts.Tail != nil {
		if err := seekTail(f, *opts.Tail); err != nil {
			return fmt.Errorf("find the last lines of the log: %w", err)
		}
	}
	p := &printer{w: w, opts: opts}
	if opts.LimitBytes != nil {
		p.left = *opts.LimitBytes
	}
	err = follow(ctx, f, path, p, opts)
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// follow prints what is there, and, if asked, what comes.
func follow(ctx context.Context, f *os.File, path string, p *printer, opts pod.LogOptions) error {
	r := bufio.NewReaderSize(f, 64<<10)
	if !opts.Follow {
		return p.printAll(r)
	}
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the log: %w", err)
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch the log: %w", err)
	}
	done := opts.Done
	for {
		if err := p.printAll(r); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return p.printAll(r)
		case <-watch.Events:
		case err := <-watch.Errors:
			return fmt.Errorf("watch the log: %w", err)
		}
	}
}

// printer turns lines of the CRI format into what a reader wants to see.
type printer struct {
	w    io.Writer
	opts pod.LogOptions
	left int64
	// torn is the beginning of a line that was not wholly written yet.
	torn []byte
	// inside means that the last piece was part of a line.
	inside bool
}

func (p *printer) printAll(r *bufio.Reader) error {
	for {
		line, err := r.ReadBytes('\n')
		if err == nil {
			if len(p.torn) > 0 {
				line, p.torn = append(p.torn, line...), nil
			}
			if err := p.print(line); err != nil {
				return err
			}
			continue
		}
		p.torn = append(p.torn, line...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("read log: %w", err)
	}
}

// print writes one piece; a line that is not of the format is left out.
func (p *printer) print(line []byte) error {
	parts := bytes.SplitN(line, []byte{' '}, 4)
	if len(parts) < 4 {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, string(parts[0]))
	if err != nil {
		return nil
	}
	partial := string(parts[2]) == "P"
	begins := !p.inside
	p.inside = partial
	if at.Before(p.opts.Since) {
		return nil
	}
	text := parts[3]
	if partial {
		text = bytes.TrimSuffix(text, []byte{'\n'})
	}
	if p.opts.Timestamps && begins {
		text = append(append(bytes.Clone(parts[0]), ' '), text...)
	}
	return p.emit(text)
}

func (p *printer) emit(text []byte) error {
	limited := p.opts.LimitBytes != nil
	if limited && int64(len(text)) > p.left {
		text = text[:p.left]
	}
	if _, err := p.w.Write(text); err != nil {
		return err
	}
	if p.left -= int64(len(text)); limited && p.left <= 0 {
		return errLimit
	}
	return nil
}

// seekTail moves to the beginning of the last n whole lines, reading blocks
// from the end. Pieces of one line count as one.
func seekTail(f *os.File, n int64) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n <= 0 {
		return err
	}
	const block = 64 << 10
	var held []byte // from the present position to the end of the piece above
	found := int64(0)
	pos := end
	for pos > 0 {
		size := min(pos, block)
		pos -= size
		buf := make([]byte, size, int(size)+len(held))
		if _, err := f.ReadAt(buf, pos); err != nil {
			return err
		}
		buf = append(buf, held...)
		// Walk the lines of buf backwards; the first one may be cut off.
		for {
			cut := bytes.LastIndexByte(bytes.TrimSuffix(buf, []byte{'\n'}), '\n')
			if cut < 0 || pos > 0 && bytes.IndexByte(buf[:cut], '\n') < 0 {
				break
			}
			at := pos + int64(cut) + 1
			if isEnd(buf[:cut+1]) {
				if found++; found == n {
					_, err := f.Seek(at, io.SeekStart)
					return err
				}
			}
			buf = buf[:cut+1]
		}
		held = buf
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// isEnd tells whether text ends with the last piece of a line: then what
// follows begins a new one.
func isEnd(text []byte) bool {
	text = bytes.TrimSuffix(text, []byte{'\n'})
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	parts := bytes.SplitN(line, []byte{' '}, 4)
	return len(parts) < 3 || string(parts[2]) != "P"
}
