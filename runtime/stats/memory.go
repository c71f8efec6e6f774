package stats

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// How much processor something uses is seen from two readings. A reading is
// compared with an earlier one that is between the two old; earlier ones are
// kept that long.
const (
	leastWindow = 250 * time.Millisecond
	mostWindow  = time.Minute
	keepWindow  = 10 * time.Second
)

// memory is what readings leave for the next. Only readings use it.
type memory struct {
	mu       sync.Mutex
	readings map[string]reading // by cgroup; guarded by mu
	// attempts are which of a pod's sandboxes was found last; guarded by mu.
	attempts map[types.UID]int
}

type reading struct {
	at    time.Time
	total time.Duration
	// cores and window are what the last comparison came to.
	cores  float64
	window time.Duration
	seen   time.Time
}

// compare fills in how busy a cgroup was. Without a reading to compare with the
// window stays 0.
func (m *memory) compare(u *pod.CgroupUsage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.readings[u.Path]
	age := u.Time.Sub(last.at)
	if !known || age > mostWindow || u.CPU.Total < last.total {
		m.readings[u.Path] = reading{at: u.Time, total: u.CPU.Total, seen: u.Time}
		return
	}
	if age >= leastWindow {
		last.cores, last.window = float64(u.CPU.Total-last.total)/float64(age), age
	}
	u.CPU.Cores, u.CPU.Window = last.cores, last.window
	if last.seen = u.Time; age >= keepWindow {
		last.at, last.total = u.Time, u.CPU.Total
	}
	m.readings[u.Path] = last
}

// forget drops what was not read for long.
func (m *memory) forget(now time.Time, pods map[types.UID]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, r := range m.readings {
		if now.Sub(r.seen) > mostWindow {
			delete(m.readings, path)
		}
	}
	for uid := range m.attempts {
		if !pods[uid] {
			delete(m.attempts, uid)
		}
	}
}

func (m *memory) attempt(uid types.UID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attempts[uid]
}

func (m *memory) found(uid types.UID, attempt int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts[uid] = attempt
}
