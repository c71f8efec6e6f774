package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// readSize bounds one read, and so the length of a piece of a line: the 16 KiB
// of containerd's CRI plugin.
const readSize = 16 << 10

// Writer appends the output of one container attempt to its log, in the CRI
// format:
//
//	2006-01-02T15:04:05.999999999Z stdout F a whole line, or the last piece of one
//	2006-01-02T15:04:05.999999999Z stderr P a piece of a line that goes on
//
// What a read gave is written at once, and nothing is held back: podd's death
// loses at most the read that was not yet written.
type Writer struct {
	mu   sync.Mutex // both streams write
	file *os.File
	buf  bytes.Buffer // guarded by mu; reused
	// torn means that a failed write left a line without its end; guarded by mu.
	torn bool
	// unended are the streams whose last piece, written before the log was
	// opened, goes on. It does not change.
	unended map[string]bool
}

// Open opens a log for appending and makes its directory. A last line that an
// interrupted write left without an end is ended.
func Open(path string) (*Writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	last, err := lastLines(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read the end of log %s: %w", path, err)
	}
	return &Writer{
		file: f, unended: unended(last),
		torn: len(last) > 0 && last[len(last)-1] != '\n',
	}, nil
}

// lastLines are enough of a file's end to hold a piece of each stream, but in
// rare cases.
func lastLines(f *os.File) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, 4*readSize))
	_, err = f.ReadAt(text, size-int64(len(text)))
	return text, err
}

func unended(text []byte) map[string]bool {
	out := map[string]bool{}
	for line := range bytes.Lines(text) {
		if e, ok := parse(line); ok {
			out[e.stream] = e.partial
		}
	}
	return out
}

// Copy reads r to its end and writes what it reads; stream is "stdout" or
// "stderr". It reads on when a write fails (a full disk), so that the container
// is not held up, and returns the first such error at the end. A reader that
// fails, as a closed one does, ends it without an error; the line it stopped in
// may go on in another Copy.
func (w *Writer) Copy(stream string, r io.Reader) error {
	buf := make([]byte, readSize)
	open := w.unended[stream]
	var failed error
	for {
		n, err := r.Read(buf)
		if n > 0 {
			open = buf[n-1] != '\n'
			if werr := w.write(stream, buf[:n]); werr != nil && failed == nil {
				failed = werr
			}
		}
		if err == nil {
			continue
		}
		if open && errors.Is(err, io.EOF) {
			failed = errors.Join(failed, w.write(stream, []byte{'\n'}))
		}
		return failed
	}
}

// write writes the lines of one read in one system call.
func (w *Writer) write(stream string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Reset()
	if w.torn {
		w.buf.WriteByte('\n')
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for len(data) > 0 {
		text, rest, whole := bytes.Cut(data, []byte{'\n'})
		tag := tagFull
		if !whole {
			tag = tagPartial
		}
		fmt.Fprintf(&w.buf, "%s %s %s %s\n", now, stream, tag, text)
		data = rest
	}
	n, err := w.file.Write(w.buf.Bytes())
	if n > 0 {
		w.torn = w.buf.Bytes()[n-1] != '\n'
	}
	return err
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }
