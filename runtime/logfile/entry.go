package logfile

import (
	"bytes"
	"time"
)

// tagPartial is the CRI format's tag of a piece that does not end its line;
// the other one is F.
const tagPartial = "P"

// entry is one line of a log file: a line of output, or a piece of one.
type entry struct {
	at      time.Time
	stamp   []byte // at, as it is written
	stream  string
	partial bool
	// text ends with a newline unless it is partial or torn.
	text []byte
}

// parse reads one line with or without its newline. What is not of the format,
// such as the beginning of a line that was never finished, is not ok.
func parse(line []byte) (e entry, ok bool) {
	parts := bytes.SplitN(line, []byte{' '}, 4)
	if len(parts) < 4 {
		return e, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(parts[0]))
	if err != nil {
		return e, false
	}
	e = entry{
		at: at, stamp: parts[0], stream: string(parts[1]),
		partial: string(parts[2]) == tagPartial, text: parts[3],
	}
	if e.partial {
		e.text = bytes.TrimSuffix(e.text, []byte{'\n'})
	}
	return e, true
}
