package agent

import (
	"context"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// sweepEvery is how often remains are looked for.
const sweepEvery = time.Minute

// orphanGrace is what an unknown pod's processes have between TERM and KILL.
const orphanGrace = corev1.DefaultTerminationGracePeriodSeconds * time.Second

// sweep finds pods of which something exists and which the store does not
// know, and has them removed.
func (a *Agent) sweep(ctx context.Context) {
	said := ""
	for {
		err := a.findOrphans(ctx)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			a.cfg.Log.Warn("could not look for remains of unknown pods; it is tried again", zap.Error(err))
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

func (a *Agent) findOrphans(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	// A pod is known if its object is there before the listing or after it: what
	// comes meanwhile has its object first, what goes has it last.
	known := map[types.UID]bool{}
	a.addKnown(known)
	found, err := a.cfg.Observer.Pods(ctx)
	if err != nil {
		return err
	}
	a.addKnown(known)
	for _, key := range found {
		if !known[key.UID] {
			a.removeOrphan(key)
		}
	}
	return nil
}

func (a *Agent) addKnown(known map[types.UID]bool) {
	for _, p := range a.Snapshot().Pods() {
		known[p.UID] = true
	}
}

func (a *Agent) removeOrphan(key pod.Key) {
	if a.employs(key.UID) {
		return // it is at it
	}
	w := a.newWorker(key, remembered{})
	w.orphan = &pod.Deletion{At: time.Now(), Grace: orphanGrace}
	w.log.Warn("found remains of a pod that the store does not know; removing them")
	a.hire(w)
}
