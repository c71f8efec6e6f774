package agent

import (
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// mailbox is what others tell a worker. Nobody waits for it: hints merge, the
// newest spec stands in the snapshot, results and conditions gather.
type mailbox struct {
	wake chan struct{} // has room for one

	mu  sync.Mutex
	got letters
}

// letters are what came in since the last look.
type letters struct {
	outcomes   []outcome
	conditions []corev1.PodCondition
	// answers are told once the conditions are on disk.
	answers []chan<- error
	// dropLogs is why the logs of the pod, if it is finished, are to go; empty
	// for no reason.
	dropLogs string
}

// outcome is how an action ended.
type outcome struct {
	pod.Result
	// void: it was given up before its end, or never begun; its result says
	// nothing.
	void bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// hint asks the worker to look again.
func (m *mailbox) hint() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) done(o outcome) {
	m.mu.Lock()
	m.got.outcomes = append(m.got.outcomes, o)
	m.mu.Unlock()
	m.hint()
}

// conditions passes conditions of somebody else's on. The answer, for which
// there has to be room, comes once they are on disk.
func (m *mailbox) conditions(all []corev1.PodCondition, answer chan<- error) {
	m.mu.Lock()
	m.got.conditions = append(m.got.conditions, all...)
	m.got.answers = append(m.got.answers, answer)
	m.mu.Unlock()
	m.hint()
}

// dropLogs asks to have the logs go, if the pod is finished.
func (m *mailbox) dropLogs(why string) {
	m.mu.Lock()
	m.got.dropLogs = why
	m.mu.Unlock()
	m.hint()
}

func (m *mailbox) take() letters {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.got
	m.got = letters{}
	return got
}
