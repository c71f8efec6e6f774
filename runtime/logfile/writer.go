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
//	2006-01-02T15:04:05.999999999Z07:00 stdout F a whole line
//	2006-01-02T15:04:05.999999999Z07:00 stderr P the first part of a long one
//
// What a read gave is written at once, and nothing is held back: podd's death
// loses at most the read that was not yet written.
type Writer struct {
	mu   sync.Mutex // both streams write
	file *os.File
	buf  bytes.Buffer // guarded by mu; reused
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
	if err := endTornLine(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("end the last line of %s: %w", path, err)
	}
	return &Writer{file: f}, nil
}

func endTornLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err = f.Write([]byte{'\n'})
	return err
}

// Copy reads r to its end and writes what it reads. It reads on when a write
// fails (a full disk), so that the container is not held up, and returns the
// first such error at the end.
func (w *Writer) Copy(stream string, r io.Reader) error {
	buf := make([]byte, readSize)
	open := false // the last piece written was part of a line
	var failed error
	for {
		n, err := r.Read(buf)
		if n > 0 {
			open = buf[n-1] != '\n'
			if werr := w.write(stream, buf[:n]); werr != nil && failed == nil {
				failed = werr
			}
		}
		if err != nil {
			if open {
				failed = errors.Join(failed, w.line(stream, "F", nil))
			}
			return failed
		}
	}
}

// write writes the lines of one read in one system call.
func (w *Writer) write(stream string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Reset()
	now := time.Now().UTC()
	for len(data) > 0 {
		text, rest, whole := bytes.Cut(data, []byte{'\n'})
		tag := "F"
		if !whole {
			tag = "P"
		}
		w.append(now, stream, tag, text)
		data = rest
	}
	_, err := w.file.Write(w.buf.Bytes())
	return err
}

func (w *Writer) line(stream, tag string, text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Reset()
	w.append(time.Now().UTC(), stream, tag, text)
	_, err := w.file.Write(w.buf.Bytes())
	return err
}

func (w *Writer) append(now time.Time, stream, tag string, text []byte) {
	w.buf.Write(now.AppendFormat(w.buf.AvailableBuffer(), time.RFC3339Nano))
	w.buf.WriteByte(' ')
	w.buf.WriteString(stream)
	w.buf.WriteByte(' ')
	w.buf.WriteString(tag)
	w.buf.WriteByte(' ')
	w.buf.Write(text)
	w.buf.WriteByte('\n')
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }
