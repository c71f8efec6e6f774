package stats

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// files reads the kernel's small files into one buffer. It belongs to one
// goroutine.
type files struct {
	buf []byte
	// err is the first failure that was more than the absence of a file.
	err error
}

// bufSize holds nearly all of them.
const bufSize = 16 << 10

// read is a file's content, valid until the next read. It is nil when there is
// no such file, or nothing behind it any more: a container that ends, a
// controller that is not in use.
func (f *files) read(path string) []byte {
	if f.buf == nil {
		f.buf = make([]byte, bufSize)
	}
	n, err := f.fill(path)
	if err != nil && !absent(err) && f.err == nil {
		f.err = fmt.Errorf("read %s: %w", path, err)
	}
	if err != nil {
		return nil
	}
	return f.buf[:n]
}

func (f *files) fill(path string) (n int, err error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }() // it was only read
	for {
		m, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, f.buf[n:]) })
		if err != nil || m == 0 {
			return n, err
		}
		if n += m; n == len(f.buf) {
			f.buf = append(f.buf, make([]byte, len(f.buf))...)
		}
	}
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// absent errors say that there is nothing to read. A cgroup that is being
// removed says ENODEV, a process that ended ESRCH, a controller without support
// for something EOPNOTSUPP.
func absent(err error) bool {
	for _, e := range []error{unix.ENOENT, unix.ENOTDIR, unix.ENODEV, unix.ESRCH, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// number is that of a file which holds only one; 0 when there is none.
// "max", as v2 says for no limit, is the greatest one.
func (f *files) number(path string) uint64 { return number(bytes.TrimSpace(f.read(path))) }

func number(text []byte) uint64 {
	if string(text) == "max" {
		return math.MaxUint64
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0 // "-1", for no limit, among others
	}
	return n
}

// unlimited is above any limit that was meant: v1 rounds the greatest number
// down to pages.
const unlimited = 1 << 62

// limit is 0 for none.
func limit(n uint64) uint64 {
	if n >= unlimited {
		return 0
	}
	return n
}

// pairs are the lines of a file of the form "key number".
func pairs(text []byte) iter.Seq2[[]byte, uint64] {
	return func(yield func([]byte, uint64) bool) {
		for line := range bytes.Lines(text) {
			key, value, ok := bytes.Cut(line, []byte{' '})
			if ok && !yield(key, number(bytes.TrimSpace(value))) {
				return
			}
		}
	}
}
