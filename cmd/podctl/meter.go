package main

import (
	"fmt"
	"io"
	"os"

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
	fmt.Fprintf(m.out, "\r\033[K%s", line)
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
