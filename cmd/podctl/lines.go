package main

import (
	"bytes"
	"io"
	"sync"
)

// lineWriter passes whole lines on, each after the prefix, so that several
// writers of one lock never mix within a line.
type lineWriter struct {
	out    io.Writer
	lock   *sync.Mutex // held while out is written to
	prefix string
	open   []byte // the line that has no end yet
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.open = append(w.open, p...)
	end := bytes.LastIndexByte(w.open, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	if err := w.pass(w.open[:end]); err != nil {
		return 0, err
	}
	w.open = append(w.open[:0], w.open[end:]...)
	return len(p), nil
}

// flush passes a last line without an end on.
func (w *lineWriter) flush() error {
	if len(w.open) == 0 {
		return nil
	}
	line := append(w.open, '\n')
	w.open = nil
	return w.pass(line)
}

func (w *lineWriter) pass(lines []byte) error {
	var text []byte
	for line := range bytes.Lines(lines) {
		text = append(append(text, w.prefix...), line...)
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	_, err := w.out.Write(text)
	return err
}
