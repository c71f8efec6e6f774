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

	"github.com/podd-io/podd/pod"
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
	path   string
	limits pod.LogLimits
	keeper *housekeeper

	mu   sync.Mutex // both streams write
	file *os.File   // guarded by mu
	// size of file in bytes; guarded by mu.
	size int64
	// seq is that of the last rotation; guarded by mu.
	seq int
	buf []byte // guarded by mu; reused
	// torn is the line that a failed write left without its end; guarded by mu.
	torn []byte
	// lost counts the bytes of output that could not be written since failing,
	// which is zero while all is well; guarded by mu.
	lost    int
	failing time.Time
	// open are the streams whose last piece goes on; guarded by mu.
	open map[string]bool
	// unended are those whose last piece, written before the log was opened,
	// goes on. It does not change.
	unended map[string]bool
}

// Open opens a log for appending and makes its directory. A last line that an
// interrupted write left without an end is ended. Limits that are zero are the
// default ones. turn bounds how many logs are compressed at once; warns is told
// of what goes wrong beside the writing.
func Open(path string, limits pod.LogLimits, turn chan struct{}, warns func(error)) (*Writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := openForAppending(path)
	if err != nil {
		return nil, err
	}
	last, size, err := lastLines(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read the end of log %s: %w", path, err)
	}
	all, err := finishRotation(f, path)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("look for what was rotated of log %s: %w", path, err)
	}
	w := &Writer{
		path: path, limits: limits, file: f, size: size, seq: newest(all), open: map[string]bool{},
		unended: unended(last), torn: lastLine(last),
	}
	w.keeper = &housekeeper{path: path, keep: limits.MaxFiles - 1, turn: turn, warns: warns, wake: make(chan struct{}, 1), done: make(chan struct{})}
	w.keeper.wake <- struct{}{} // something may be left to do
	go w.keeper.run()
	return w, nil
}

// finishRotation undoes a rotation that a crash interrupted: the log then has
// both names.
func finishRotation(live *os.File, path string) ([]rotated, error) {
	all, err := listRotated(path)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	last := all[len(all)-1]
	if !last.is(live) {
		return all, nil
	}
	return all[:len(all)-1], os.Remove(last.path)
}

func openForAppending(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
}

// lastLines are enough of a file's end to hold a piece of each stream, but in
// rare cases.
func lastLines(f *os.File) (text []byte, size int64, err error) {
	size, err = f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	text = make([]byte, min(size, 4*readSize))
	_, err = f.ReadAt(text, size-int64(len(text)))
	return text, size, err
}

// lastLine is what follows the last newline: nothing, if no line was torn.
func lastLine(text []byte) []byte { return text[bytes.LastIndexByte(text, '\n')+1:] }

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
	full := w.rotateIfFull()
	output := len(data)
	w.buf = w.buf[:0]
	now := time.Now().UTC()
	if len(w.torn) > 0 {
		w.buf = append(w.buf, ending(w.torn, now)...)
	}
	for len(data) > 0 {
		text, rest, whole := bytes.Cut(data, []byte{'\n'})
		w.buf = appendEntry(w.buf, now, stream, whole, text)
		data, w.open[stream] = rest, !whole
	}
	n, err := w.file.Write(w.buf)
	if n > 0 {
		w.torn = bytes.Clone(lastLine(w.buf[:n]))
	}
	w.size += int64(n)
	w.account(output, now, err)
	return errors.Join(full, err)
}

// account tells of an outage when it begins and when it is over.
func (w *Writer) account(output int, now time.Time, err error) {
	switch {
	case err != nil && w.failing.IsZero():
		w.failing, w.lost = now, output
		w.keeper.warn(fmt.Errorf("the container's output can't be written, and is lost until it can: %w", err))
	case err != nil:
		w.lost += output
	case !w.failing.IsZero():
		w.keeper.warn(fmt.Errorf("the container's output is written again: up to %d bytes of it were lost since %s", w.lost, w.failing.Format(time.RFC3339)))
		w.failing = time.Time{}
	}
}

func appendEntry(buf []byte, at time.Time, stream string, whole bool, text []byte) []byte {
	buf = at.AppendFormat(buf, time.RFC3339Nano)
	buf = append(buf, ' ')
	buf = append(buf, stream...)
	if whole {
		buf = append(buf, " F "...)
	} else {
		buf = append(buf, " P "...)
	}
	buf = append(buf, text...)
	return append(buf, '\n')
}

// longLine is by how much a log may outgrow its limit for the sake of a line
// that has not ended, in bytes.
const longLine = readSize

// rotateIfFull begins a new file when the present one has reached its limit.
// Between the two no line is lost or doubled: whoever reads the old file to its
// end finds the next by its number. Failing, it goes on in the old file.
func (w *Writer) rotateIfFull() error {
	if w.size < w.limits.MaxSize || w.size < w.limits.MaxSize+longLine && (len(w.torn) > 0 || w.open["stdout"] || w.open["stderr"]) {
		return nil
	}
	next, err := w.rotate()
	if err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	w.file.Close()
	w.file, w.size, w.torn = next, 0, nil
	w.seq++
	select {
	case w.keeper.wake <- struct{}{}:
	default:
	}
	return nil
}

// rotate makes room before it takes it, so that a flood can't outrun the
// housekeeping.
func (w *Writer) rotate() (*os.File, error) {
	if err := trim(w.path, max(w.limits.MaxFiles-2, 0)); err != nil {
		return nil, err
	}
	if w.limits.MaxFiles == 1 {
		return w.replace()
	}
	old := rotatedName(w.path, w.seq+1, time.Now())
	if err := os.Link(w.path, old); err != nil {
		return nil, err
	}
	next, err := w.replace()
	if err != nil {
		return nil, errors.Join(err, os.Remove(old))
	}
	return next, nil
}

// replace puts an empty file in the place of the present one. That is never
// absent: who follows it would take it for its end.
func (w *Writer) replace() (*os.File, error) {
	fresh := w.path + tmpSuffix
	next, err := os.OpenFile(fresh, os.O_CREATE|os.O_RDWR|os.O_APPEND|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(fresh, w.path); err != nil {
		next.Close()
		return nil, errors.Join(err, os.Remove(fresh))
	}
	return next, nil
}

// Close closes the file and ends the housekeeping.
func (w *Writer) Close() error {
	close(w.keeper.wake)
	<-w.keeper.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Close()
}
