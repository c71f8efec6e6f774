package fake

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// text is one attempt's log.
type text struct {
	mu   sync.Mutex
	data string
	news chan struct{}
}

func textKey(name string, attempt int) string { return fmt.Sprintf("%s/%d", name, attempt) }

func (r *remains) text(name string, attempt int) *text {
	t := r.texts[textKey(name, attempt)]
	if t == nil {
		t = &text{news: make(chan struct{})}
		r.texts[textKey(name, attempt)] = t
	}
	return t
}

func (t *text) write(s string) {
	t.mu.Lock()
	t.data += s
	t.mu.Unlock()
	t.changed()
}

func (t *text) changed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.news)
	t.news = make(chan struct{})
}

func (t *text) from(offset int) (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.data[min(offset, len(t.data)):], t.news
}

// Write appends to the log of the newest attempt of a container.
func (w *World) Write(key pod.Key, name, s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.of(key.UID)
	newest := -1
	for _, c := range r.containers {
		if c.Name == name {
			newest = max(newest, c.Attempt)
		}
	}
	r.text(name, newest).write(s)
}

// Logs implements agent.Logs.
type Logs struct{ s *Session }

// Read implements agent.Logs, but for times.
func (x Logs) Read(ctx context.Context, out io.Writer, opts pod.LogOptions) error {
	w := x.s.world
	w.mu.Lock()
	t := w.of(opts.Pod.UID).texts[textKey(opts.Container, opts.Attempt)]
	w.mu.Unlock()
	if t == nil {
		return &pod.Failure{Kind: pod.NotFound, Message: "there is no such log"}
	}
	data, _ := t.from(0)
	offset := len(data)
	if _, err := io.WriteString(out, cut(data, opts)); err != nil || !opts.Follow {
		return err
	}
	for over := false; ; {
		more, news := t.from(offset)
		offset += len(more)
		if _, err := io.WriteString(out, more); err != nil || over {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-opts.Done:
			over = true
		case <-news:
		}
	}
}

// cut applies Tail and LimitBytes.
func cut(data string, opts pod.LogOptions) string {
	if opts.Tail != nil {
		lines := strings.SplitAfter(data, "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		data = strings.Join(lines[max(0, len(lines)-int(*opts.Tail)):], "")
	}
	if opts.LimitBytes != nil {
		data = data[:min(len(data), int(*opts.LimitBytes))]
	}
	return data
}

// Size implements agent.Logs.
func (x Logs) Size(_ context.Context, key pod.Key) (int64, error) {
	w := x.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	size := 0
	for _, t := range w.of(key.UID).texts {
		data, _ := t.from(0)
		size += len(data)
	}
	return int64(size), nil
}

// Remove implements agent.Logs.
func (x Logs) Remove(ctx context.Context, key pod.Key) error {
	w := x.s.world
	return x.s.effect(ctx, pod.RemoveLogs, key.UID, "files", func() error {
		w.checkIdle(key.UID, "log")
		if m := w.memo(key.UID); m != nil && !m.Deleting && m.Phase != corev1.PodSucceeded && m.Phase != corev1.PodFailed {
			w.violate("%s: the logs are removed, and the pod is neither deleted nor finished", key.Name)
		}
		r := w.of(key.UID)
		r.logs = false
		clear(r.texts)
		return nil
	})
}
