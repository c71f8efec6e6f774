package logfile

import (
	"bytes"
	"io"
	"os"
)

// tailBlock is how much is read at once from the end of a log.
const tailBlock = 64 << 10

// seekTail moves to the beginning of the last n lines of output, reading
// blocks from the end, and tells how many of them are missing, and whether it
// moved to the file's start. Pieces of one line count as one.
func seekTail(f *os.File, n int64) (missing int64, start bool, err error) {
	pos, err := f.Seek(0, io.SeekEnd)
	if err != nil || n <= 0 || pos == 0 {
		return max(n, 0), n > 0, err
	}
	// held is text from pos on that has no line whose beginning is known.
	var held []byte
	for pos > 0 {
		size := min(pos, tailBlock)
		pos -= size
		block := make([]byte, size, int(size)+len(held))
		if _, err := f.ReadAt(block, pos); err != nil {
			return 0, false, err
		}
		at, rest, left := lastStart(append(block, held...), n, pos == 0)
		if left == 0 {
			_, err := f.Seek(pos+at, io.SeekStart)
			return 0, false, err
		}
		held, n = rest, left
	}
	_, err = f.Seek(0, io.SeekStart)
	return n - 1, true, err // the first line is not among those found
}

// lastStart finds where, in text, the n-th last line of output begins. If it
// does not, left is how many lines are still to be found, before rest. The
// first line of text is cut off unless whole.
func lastStart(text []byte, n int64, whole bool) (at int64, rest []byte, left int64) {
	for {
		cut := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte{'\n'}), '\n')
		above := bytes.LastIndexByte(text[:max(cut, 0)], '\n')
		if cut < 0 || above < 0 && !whole {
			return 0, text, n
		}
		if e, ok := parse(text[above+1 : cut+1]); !ok || !e.partial {
			if n--; n == 0 {
				return int64(cut) + 1, nil, 0
			}
		}
		text = text[:cut+1]
	}
}
