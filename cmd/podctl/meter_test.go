package main

import (
	"bytes"
	"testing"
)

func TestMeter(t *testing.T) {
	for name, c := range map[string]struct {
		width int
		want  string
	}{
		"a pipe":            {0, "app: looking\napp: 0% of 1000B\napp: 50% of 1000B\napp: 100% of 1000B\n"},
		"a terminal":        {40, "\r\x1b[Kapp: looking\r\x1b[Kapp: 1% of 1000B\r\x1b[Kapp: 50% of 1000B\r\x1b[Kapp: 55% of 1000B\r\x1b[Kapp: 100% of 1000B\r\x1b[K"},
		"a narrow terminal": {9, "\r\x1b[K looking\r\x1b[Kof 1000B\r\x1b[Kof 1000B\r\x1b[Kof 1000B\r\x1b[Kof 1000B\r\x1b[K"},
	} {
		var out bytes.Buffer
		m := &meter{out: &out, what: "app", width: c.width}
		m.show(0, 0)
		for _, done := range []int64{10, 500, 501, 550, 1000, 1000} {
			m.show(done, 1000)
		}
		m.end()
		if got := out.String(); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWaiting(t *testing.T) {
	for width, want := range map[int]string{
		0:   "",
		100: "\r\x1b[Kwaiting for 2 of 2: pods/a, pods/b\r\x1b[K\r\x1b[Kwaiting for 1 of 2: pods/b\r\x1b[K",
		20:  "\r\x1b[Kwaiting for 2 of 2:\r\x1b[K\r\x1b[Kwaiting for 1 of 2:\r\x1b[K",
	} {
		var out bytes.Buffer
		a, b := ref{kind: kindNamed("Pod"), name: "a"}, ref{kind: kindNamed("Pod"), name: "b"}
		w := &waiting{m: &meter{out: &out, width: width}, total: 2, left: []ref{a, b}}
		w.show()
		w.over(a)
		w.over(b)
		if got := out.String(); got != want {
			t.Errorf("%d columns: %q", width, got)
		}
	}
}
