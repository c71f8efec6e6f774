package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/podd-io/podd/cmd/podctl/table"
)

// meter shows how far something is: on a terminal in one line that is drawn
// again and again, else in a line for each tenth.
type meter struct {
	out   io.Writer
	what  string
	width int // of the terminal; 0 if there is none
	said  string
}

func (s *session) meter(what string) *meter {
	m := &meter{out: s.errOut, what: what}
	if f, ok := s.errOut.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		m.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			m.width = width
		}
	}
	return m
}

// show tells how far it is; a total of 0 is one that is not known yet.
func (m *meter) show(done, total int64) {
	text := "looking"
	switch {
	case total > 0 && m.width > 0:
		text = fmt.Sprintf("%d%% of %s", done*100/total, table.Size(total))
	case total > 0:
		text = fmt.Sprintf("%d%% of %s", done*10/total*10, table.Size(total))
	}
	if text == m.said {
		return
	}
	m.said = text
	if m.width == 0 {
		fmt.Fprintf(m.out, "%s: %s\n", m.what, text)
		return
	}
	line := m.what + ": " + text
	if len(line) >= m.width { // the end tells more than the beginning
		line = line[len(line)-m.width+1:]
	}
	m.draw(line)
}

// draw draws a line in the place of the one before.
func (m *meter) draw(line string) {
	fmt.Fprintf(m.out, "\r\033[K%s", line[:min(len(line), max(m.width-1, 0))])
}

// waiting shows on a terminal what is still waited for. In a pipe it shows
// nothing: each end is said as it comes.
type waiting struct {
	mu    sync.Mutex
	m     *meter
	total int
	left  []ref
}

// waitFor begins with all of them.
func (s *session) waitFor(refs ...ref) *waiting {
	w := &waiting{m: s.meter("waiting"), total: len(refs), left: slices.Clone(refs)}
	w.show()
	return w
}

// over tells that one of them need not be waited for any more.
func (w *waiting) over(r ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = slices.DeleteFunc(w.left, func(l ref) bool { return l.String() == r.String() && l.namespace == r.namespace })
	w.show()
}

func (w *waiting) show() {
	if w.m.width == 0 {
		return
	}
	w.m.end()
	if len(w.left) == 0 {
		return
	}
	names := make([]string, 0, len(w.left))
	for _, r := range w.left {
		names = append(names, r.String())
	}
	w.m.said = fmt.Sprintf("waiting for %d of %d: %s", len(w.left), w.total, strings.Join(names, ", "))
	w.m.draw(w.m.said)
}

// end takes the line away.
func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m.end()
}

// end takes a drawn line away: what follows takes its place.
func (m *meter) end() {
	if m.width > 0 && m.said != "" {
		fmt.Fprint(m.out, "\r\033[K")
	}
}

// metered shows how much of a file has been read. In a pipe it shows nothing:
// the end comes soon.
type metered struct {
	io.Reader
	m           *meter
	read, total int64
}

func (r *metered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read += int64(n)
	if r.m.width > 0 {
		r.m.show(r.read, r.total)
	}
	return n, err
}
