package logfile

import (
	"bytes"
	"strings"
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

// ending is what a torn line lacks to be an entry: those who read the files take
// nothing else. One that broke off before its text becomes an empty piece, to
// which what follows belongs. What no entry begins with only ends.
func ending(torn []byte, now time.Time) []byte {
	out := remainder(torn, now)
	if _, ok := parse(append(bytes.Clone(torn), out...)); !ok {
		return []byte{'\n'}
	}
	return []byte(out)
}

func remainder(torn []byte, now time.Time) string {
	const text, tag, stream = "\n", " P \n", " stdout P \n"
	parts := strings.SplitN(string(torn), " ", 4)
	last := parts[len(parts)-1]
	switch {
	case len(parts) == 4:
		return text
	case len(parts) == 3 && last != "":
		return " " + text
	case len(parts) == 3:
		return tag[1:]
	case len(parts) == 2 && strings.HasPrefix("stdout", last):
		return "stdout"[len(last):] + tag
	case len(parts) == 2 && strings.HasPrefix("stderr", last):
		return "stderr"[len(last):] + tag
	case strings.HasSuffix(last, "Z"):
		return stream
	}
	stamp := now.Format("2006-01-02T15:04:05.000000000Z")
	return stamp[min(len(last), len(stamp)-1):] + stream
}
