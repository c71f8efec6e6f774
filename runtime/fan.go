package runtime

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/podd-io/podd/pod"
)

// fan passes a container's output on to those who are attached to it. It never
// waits for them: the container and its log are not held up.
type fan struct {
	mu        sync.Mutex
	listeners map[*listener]bool // guarded by mu
	ended     bool               // guarded by mu
}

// tee reads r for the fan's owner; what it read is passed on.
func (f *fan) tee(stream string, r io.Reader) io.Reader { return &teed{fan: f, stream: stream, r: r} }

type teed struct {
	fan    *fan
	stream string
	r      io.Reader
}

func (t *teed) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		t.fan.say(t.stream, p[:n])
	}
	return n, err
}

func (f *fan) say(stream string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) == 0 {
		return
	}
	data = bytes.Clone(data)
	for l := range f.listeners {
		if !l.put(piece{stream, data}) {
			delete(f.listeners, l)
		}
	}
}

// end tells all listeners that nothing more comes.
func (f *fan) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for l := range f.listeners {
		l.end(nil)
	}
	clear(f.listeners)
}

// listen hears everything from now on.
func (f *fan) listen() *listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &listener{news: make(chan struct{}, 1)}
	if f.ended {
		l.end(nil)
		return l
	}
	if f.listeners == nil {
		f.listeners = map[*listener]bool{}
	}
	f.listeners[l] = true
	return l
}

func (f *fan) leave(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
}

// maxWaiting bounds the output that waits for one listener, in bytes.
const maxWaiting = 4 << 20

type piece struct {
	stream string
	data   []byte
}

// listener is the output that one attached caller has not taken yet.
type listener struct {
	news chan struct{}

	mu      sync.Mutex
	waiting []piece // guarded by mu
	size    int     // guarded by mu: bytes in waiting
	over    bool    // guarded by mu: nothing more comes
	err     error   // guarded by mu: why, if it is not the output's end
}

// put says false when the listener is too slow, and ends it.
func (l *listener) put(p piece) bool {
	l.mu.Lock()
	slow := l.size+len(p.data) > maxWaiting
	if !slow {
		l.waiting, l.size = append(l.waiting, p), l.size+len(p.data)
	}
	l.mu.Unlock()
	if slow {
		l.end(&pod.Failure{Kind: pod.Conflict,
			Message: fmt.Sprintf("the output is taken too slowly: %d MiB wait; the log has all of it", maxWaiting>>20)})
		return false
	}
	l.wake()
	return true
}

func (l *listener) end(err error) {
	l.mu.Lock()
	l.over, l.err = true, err
	l.mu.Unlock()
	l.wake()
}

func (l *listener) wake() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// take waits for output. It returns none when nothing more comes.
func (l *listener) take(ctx context.Context) ([]piece, error) {
	for {
		l.mu.Lock()
		got, over, err := l.waiting, l.over, l.err
		l.waiting, l.size = nil, 0
		l.mu.Unlock()
		if len(got) > 0 {
			return got, nil
		}
		if over {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.news:
		}
	}
}
