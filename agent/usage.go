package agent

import (
	"context"
	"time"

	"github.com/podd-io/podd/pod"
)

// Usage reads what the node and its pods use now.
func (a *Agent) Usage(ctx context.Context, of pod.UsageOf) (pod.Usage, error) {
	return a.cfg.Usage.Read(ctx, a.Snapshot().Pods(), of)
}

// busyWindow is over how long it is looked how busy things are that were not
// read before.
const busyWindow = 500 * time.Millisecond

// busy reads what is used, and how much processor now. That is seen from two
// readings: if there is none yet to compare with, it reads twice.
func (a *Agent) busy(ctx context.Context, of pod.UsageOf) (pod.Usage, error) {
	u, err := a.Usage(ctx, of)
	if !isNew(u) || !sleep(ctx, busyWindow) {
		return u, err
	}
	return a.Usage(ctx, of)
}

// isNew tells whether there is anything in it that was not read before.
func isNew(u pod.Usage) bool {
	if u.Node.CPU.Window == 0 && !u.Node.Time.IsZero() {
		return true
	}
	for _, p := range u.Pods {
		if p.CPU.Window == 0 {
			return true
		}
		for _, c := range p.Containers {
			if c.CPU.Window == 0 {
				return true
			}
		}
	}
	return false
}
