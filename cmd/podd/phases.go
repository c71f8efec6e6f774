package main

import (
	"slices"
	"sync"
	"time"

	"github.com/podd-io/podd/agent"
)

// phases are the parts of podd's start, one after the other.
type phases struct {
	mu  sync.Mutex
	all []agent.Phase // guarded by mu
}

// begin ends the phase before, too.
func (p *phases) begin(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.endLast(now)
	p.all = append(p.all, agent.Phase{Name: name, Began: now})
}

// end ends the last one.
func (p *phases) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLast(time.Now())
}

func (p *phases) endLast(now time.Time) {
	if n := len(p.all); n > 0 && p.all[n-1].Ended.IsZero() {
		p.all[n-1].Ended = now
	}
}

func (p *phases) get() []agent.Phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}
