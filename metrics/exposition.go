package metrics

import (
	"io"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// exposition writes Prometheus' text format as it goes, and keeps no more of it
// than a few lines. With 200 pods the page of cAdvisor's metrics has more than
// 30,000 series: made into families first, and encoded by a library, they take
// much longer, and megabytes.
type exposition struct {
	w   io.Writer
	buf []byte
	// name, help and kind are of the metric whose samples follow; told once it has
	// its first.
	name, help string
	kind       dto.MetricType
	told       bool
}

// flushAt is how much is written at once.
const flushAt = 32 << 10

func newExposition(w io.Writer) *exposition {
	return &exposition{w: w, buf: make([]byte, 0, flushAt+4<<10)}
}

// metric begins one. Without samples it is not told.
func (e *exposition) metric(name, help string, kind dto.MetricType) {
	e.name, e.help, e.kind, e.told = name, help, kind, false
}

// sample adds one. labels are as label rendered them, of the sample and of its
// owner.
func (e *exposition) sample(value float64, owner, own string) {
	if !e.told {
		e.header()
	}
	e.buf = append(e.buf, e.name...)
	if owner != "" || own != "" {
		e.buf = append(e.buf, '{')
		e.buf = append(e.buf, owner...)
		if owner != "" && own != "" {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(e.buf, own...)
		e.buf = append(e.buf, '}')
	}
	e.buf = append(e.buf, ' ')
	e.buf = appendValue(e.buf, value)
	e.buf = append(e.buf, '\n')
	if len(e.buf) >= flushAt {
		e.flush()
	}
}

func (e *exposition) header() {
	e.told = true
	e.buf = append(e.buf, "# HELP "...)
	e.buf = append(append(e.buf, e.name...), ' ')
	e.buf = append(append(e.buf, e.help...), "\n# TYPE "...)
	e.buf = append(append(e.buf, e.name...), ' ')
	e.buf = append(append(e.buf, strings.ToLower(e.kind.String())...), '\n')
}

// flush hands on what there is. A client that left needs no more.
func (e *exposition) flush() {
	_, _ = e.w.Write(e.buf)
	e.buf = e.buf[:0]
}

// appendValue writes whole numbers as such.
func appendValue(buf []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(buf, int64(v), 10)
	}
	return strconv.AppendFloat(buf, v, 'g', -1, 64)
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// label renders labels, given as names and values by turns.
func label(namesAndValues ...string) string {
	var out strings.Builder
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(namesAndValues[i])
		out.WriteString(`="`)
		_, _ = escaper.WriteString(&out, namesAndValues[i+1]) // a Builder takes everything
		out.WriteByte('"')
	}
	return out.String()
}
