package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/systemd"
)

// logindPause is how long after logind was lost, or could not be reached, it is
// looked for again.
const logindPause = 10 * time.Second

// shutdown is the policy that the configuration, which was checked, says.
func (c Config) shutdown() pod.ShutdownPolicy {
	return pod.ShutdownPolicy{Total: age(c.ShutdownGrace), Critical: age(c.ShutdownCritical)}
}

// delayShutdowns has the machine's end wait for that of the pods, as long as ctx
// lives. A machine without logind is no error: delayOwnEnd sees to it then.
func (d *podd) delayShutdowns(ctx context.Context, a *agent.Agent) {
	policy := d.cfg.shutdown()
	if policy.Total == 0 {
		return
	}
	said := ""
	hold := systemd.Delay{Down: a.GoDown, Up: a.StayUp, Taken: func(limit time.Duration) {
		said = ""
		d.log.Info("shutdowns wait for the end of the pods", zap.Duration("at most", policy.Total), zap.Duration("logind allows", limit))
		if limit < policy.Total {
			d.log.Warn("logind does not let a shutdown wait as long as shutdown-grace-period: raise InhibitDelayMaxSec in a drop-in of logind.conf",
				zap.Duration("InhibitDelayMaxSec", limit), zap.Duration("shutdown-grace-period", policy.Total))
		}
	}}
	for ctx.Err() == nil {
		if err := hold.Keep(ctx); err != nil && err.Error() != said {
			said = err.Error()
			d.log.Warn("shutdowns do not wait for the end of the pods; podd ends them when systemd stops it", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(logindPause):
		}
	}
}

// untilPodsEnd is ctx, but when it ends since the machine goes down, and nobody
// but systemd's TERM has told, it lives on until the pods have ended.
func (d *podd) untilPodsEnd(ctx context.Context, a *agent.Agent) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		defer cancel()
		policy := d.cfg.shutdown()
		if policy.Total == 0 || d.back.ctx.Err() != nil {
			return
		}
		if down, err := systemd.GoingDown(longer); err != nil || !down {
			return // it is podd alone that stops
		}
		d.tell(systemd.Extend(policy.Total + 30*time.Second))
		a.GoDown(longer)
	})
	return longer, cancel
}
