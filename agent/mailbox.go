package agent

import (
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// mailbox is what others tell a worker. Nobody waits for it: hints merge, the
// newest spec stands, results and conditions gather.
type mailbox struct {
	wake chan struct{} // has room for one

	mu         sync.Mutex
	results    []pod.Result
	conditions []corev1.PodCondition
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// hint asks the worker to look again.
func (m *mailbox) hint() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) done(r pod.Result) {
	m.mu.Lock()
	m.results = append(m.results, r)
	m.mu.Unlock()
	m.hint()
}

func (m *mailbox) condition(c corev1.PodCondition) {
	m.mu.Lock()
	m.conditions = append(m.conditions, c)
	m.mu.Unlock()
	m.hint()
}

func (m *mailbox) take() ([]pod.Result, []corev1.PodCondition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	results, conditions := m.results, m.conditions
	m.results, m.conditions = nil, nil
	return results, conditions
}
