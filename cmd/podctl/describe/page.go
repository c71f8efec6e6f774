package describe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const none = "<none>"

// page is what is written: lines of a name and a value, the values aligned,
// two spaces for each level.
type page struct {
	w   *tabwriter.Writer
	now time.Time
}

func newPage(out io.Writer, now time.Time) *page {
	return &page{w: tabwriter.NewWriter(out, 0, 8, 2, ' ', 0), now: now}
}

// line writes cells, parted by tabs, at a level.
func (p *page) line(level int, cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = fmt.Sprint(cell)
	}
	fmt.Fprintf(p.w, "%s%s\n", strings.Repeat("  ", level), strings.Join(texts, "\t"))
}

// list writes a name with values below it, or the name with <none>.
func (p *page) list(level int, name string, values []string) {
	if len(values) == 0 {
		p.line(level, name+":", none)
		return
	}
	p.line(level, name+":")
	for _, value := range values {
		p.line(level+1, value)
	}
}

// pairs writes labels or annotations: the name, then a pair a line, all in the
// value's column.
func (p *page) pairs(name string, values map[string]string, separator string) {
	if len(values) == 0 {
		p.line(0, name+":", none)
		return
	}
	first := name + ":"
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p.line(0, first, key+separator+strings.TrimSpace(values[key]))
		first = ""
	}
}

// metadata writes what every description begins with.
func (p *page) metadata(m metav1.ObjectMeta) {
	p.line(0, "Name:", m.Name)
	if m.Namespace != "" {
		p.line(0, "Namespace:", m.Namespace)
	}
	p.labels(m)
}

func (p *page) labels(m metav1.ObjectMeta) {
	p.pairs("Labels", m.Labels, "=")
	p.pairs("Annotations", m.Annotations, ": ")
}

func (p *page) flush() error { return p.w.Flush() }

// instant is a time as kubectl describe writes it.
func instant(t metav1.Time) string {
	if t.IsZero() {
		return "<unset>"
	}
	return t.Format(time.RFC1123Z)
}

func or(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}

// boolean is a flag that may be unset, which means false.
func boolean(b *bool) bool { return b != nil && *b }

// heading writes the names of columns, and a line under each.
func (p *page) heading(names ...string) {
	under := make([]any, len(names))
	cells := make([]any, len(names))
	for i, name := range names {
		cells[i], under[i] = name, strings.Repeat("-", len(name))
	}
	p.line(1, cells...)
	p.line(1, under...)
}
