package logfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
)

// chain reads a log over all its files, the oldest first, and goes on in new
// ones as it is rotated. An end that it reports may be followed by more.
type chain struct {
	path string
	// seq is the present file's number: one more than the newest rotated one's
	// as long as it is not rotated itself.
	seq int
	at  io.ReadCloser
	// live is the file that is still written; nil when at is a rotated one.
	live *os.File
	// both means that live is just being rotated: it has both names.
	both bool
}

// openChain begins with the file from which on there are n lines, if there are
// that many; a negative n means all.
func openChain(path string, n int64) (*chain, error) {
	c := &chain{path: path}
	if err := c.openLive(); err != nil {
		return nil, err
	}
	if n < 0 {
		return c, c.goBack(0)
	}
	if err := c.seekTail(n); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// seekTail goes to where the last n lines begin, from the live file back.
func (c *chain) seekTail(n int64) error {
	missing, start, err := seekTail(c.live, n)
	for err == nil && start {
		older, found := c.before()
		if !found {
			return nil
		}
		open, err := older.endsOpen()
		if err != nil {
			return err
		}
		if open {
			missing++ // what was taken for the beginning of a line is a later piece of one
		}
		if missing == 0 {
			return nil
		}
		if err := c.open(older); err != nil {
			return err
		}
		if missing, start, err = c.skipToTail(older, missing); err != nil {
			return err
		}
	}
	return err
}

// openLive opens the file that is written. It may be rotated in between.
func (c *chain) openLive() error {
	for {
		before, err := listRotated(c.path)
		if err != nil {
			return err
		}
		f, err := os.Open(c.path)
		if err != nil {
			return err
		}
		after, err := listRotated(c.path)
		if err != nil {
			f.Close()
			return err
		}
		if newest(before) == newest(after) {
			c.Close()
			c.at, c.live, c.seq = f, f, newest(after)+1
			c.both = len(after) > 0 && after[len(after)-1].is(f)
			if c.both {
				c.seq--
			}
			return nil
		}
		f.Close()
	}
}

func (c *chain) open(r rotated) error {
	f, err := r.open()
	if err != nil {
		return err
	}
	c.Close()
	c.at, c.live, c.seq = f, nil, r.seq
	return nil
}

func (c *chain) Close() {
	if c.at != nil {
		c.at.Close()
		c.at, c.live = nil, nil
	}
}

// goBack goes to the oldest file with a number above seq.
func (c *chain) goBack(seq int) error {
	for {
		all, err := listRotated(c.path)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r rotated) bool { return r.seq > seq })
		if i >= 0 {
			if err := c.open(all[i]); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			continue // it was removed, or compressed, just now
		}
		if c.live != nil {
			return nil
		}
		err = c.openLive()
		if err == nil && c.both && c.seq == seq { // it was read by its other name
			_, err = c.live.Seek(0, io.SeekEnd)
		}
		if err != nil || c.seq <= seq+1 {
			return err
		} // what was the live one was rotated just now
	}
}

// skipToTail goes to where the last n lines of a rotated file begin; see
// seekTail.
func (c *chain) skipToTail(r rotated, n int64) (missing int64, start bool, err error) {
	if f, ok := c.at.(*os.File); ok {
		return seekTail(f, n)
	}
	total, _, err := countLines(c.at)
	if err != nil {
		return 0, false, err
	}
	if err := c.open(r); err != nil || total <= n {
		return max(n-total, 0), true, err
	}
	in := bufio.NewReader(c.at)
	for skip := total - n; skip > 0; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return 0, false, err
		}
		if e, ok := parse(line); !ok || !e.partial {
			skip--
		}
	}
	c.at = rest{in, c.at}
	return 0, false, nil
}

// rest is a file of which the beginning was read.
type rest struct {
	*bufio.Reader
	io.Closer
}

// countLines counts lines of output; pieces of one are one. It tells whether
// the last one goes on in the next file.
func countLines(r io.Reader) (n int64, open bool, err error) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			e, ok := parse(line)
			if open = ok && e.partial; !open {
				n++
			}
		}
		if errors.Is(err, io.EOF) {
			if open {
				n++
			}
			return n, open, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// endsOpen tells whether its last line goes on in the next file.
func (r rotated) endsOpen() (bool, error) {
	f, err := r.open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	if plain, ok := f.(*os.File); ok {
		text, _, err := lastLines(plain)
		text = bytes.TrimSuffix(text, []byte{'\n'})
		e, ok := parse(text[bytes.LastIndexByte(text, '\n')+1:])
		return ok && e.partial, err
	}
	_, open, err := countLines(f)
	return open, err
}

// before finds the file before the present one.
func (c *chain) before() (rotated, bool) {
	all, err := listRotated(c.path)
	if err != nil {
		return rotated{}, false
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].seq < c.seq {
			return all[i], true
		}
	}
	return rotated{}, false
}

// Read reads on; after a file's end it goes on with the next one's beginning.
func (c *chain) Read(p []byte) (int, error) {
	for {
		if c.at == nil {
			return 0, os.ErrClosed
		}
		if n, err := c.readOne(p); n > 0 || err != nil {
			return n, err
		}
		if c.live != nil && !c.wasRotated() {
			return 0, io.EOF
		}
		if c.live != nil { // something may have been written before it was rotated
			if n, err := c.readOne(p); n > 0 || err != nil {
				return n, err
			}
			c.live = nil
		}
		if err := c.goBack(c.seq); err != nil {
			return 0, err
		}
	}
}

// readOne reads the present file; nothing and no error is its end.
func (c *chain) readOne(p []byte) (int, error) {
	n, err := c.at.Read(p)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (c *chain) wasRotated() bool {
	now, err := os.Stat(c.path)
	if err != nil {
		return false // removed: this was the end
	}
	mine, err := c.live.Stat()
	return err == nil && !os.SameFile(now, mine)
}
