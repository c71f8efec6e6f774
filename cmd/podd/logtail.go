package main

import (
	"bytes"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logTailSize is how much of the log is kept for reports of defects; twice as much
// memory at most.
const logTailSize = 128 << 10

// logTail keeps the end of what is written to it.
type logTail struct {
	mu   sync.Mutex
	kept []byte // guarded by mu
}

// keepLog keeps the end of the log beside what is done with it.
func (d *podd) keepLog() {
	d.log = d.log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewTee(c, zapcore.NewCore(zapcore.NewJSONEncoder(jsonLog()), zapcore.AddSync(&d.tail), d.level))
	}))
}

// Write implements io.Writer.
func (l *logTail) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept)+len(line) > 2*logTailSize {
		l.kept = append(l.kept[:0], l.last()...)
	}
	l.kept = append(l.kept, line...)
	return len(line), nil
}

// last is the end of what is kept, from the beginning of a line. The lock is held.
func (l *logTail) last() []byte {
	if len(l.kept) <= logTailSize {
		return l.kept
	}
	end := l.kept[len(l.kept)-logTailSize:]
	return end[bytes.IndexByte(end, '\n')+1:]
}

func (l *logTail) get() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.last())
}
