package main

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/host"
)

// factsEvery is how long a change of the host's addresses or resolver may go
// unnoticed.
const factsEvery = 15 * time.Second

// facts keeps at hand what decisions may know about the host.
type facts struct {
	host           *host.Host
	seccompDefault bool
	// maxRestart is how long podd waits at most before it tries again.
	maxRestart atomic.Int64
	log        *zap.Logger
	now        atomic.Pointer[pod.Node]
}

// factsTime bounds one reading, in which containerd is asked for its version.
const factsTime = 10 * time.Second

// refresh reads the facts anew; on failure the old ones stay.
func (f *facts) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, factsTime)
	defer cancel()
	node, err := f.host.Node(ctx)
	if err != nil {
		return err
	}
	resolvConf, err := host.ResolvConf()
	if err != nil {
		return err
	}
	f.now.Store(nodeFacts(node, resolvConf, f.seccompDefault, time.Duration(f.maxRestart.Load())))
	return nil
}

// setMaxRestart holds from the next refresh on, or at once if there was one.
func (f *facts) setMaxRestart(d time.Duration) {
	f.maxRestart.Store(int64(d))
	if now := f.now.Load(); now != nil {
		next := *now
		next.BackOff.Max = d
		f.now.CompareAndSwap(now, &next) // or a refresh has read it
	}
}

// keep refreshes them until ctx ends.
func (f *facts) keep(ctx context.Context) error {
	tick := time.NewTicker(factsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := f.refresh(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("the host's facts could not be read; the last ones stand", zap.Error(err))
		}
	}
}

// get is for agent.Config.Facts, once refresh has succeeded.
func (f *facts) get() pod.Node { return *f.now.Load() }

func nodeFacts(node *corev1.Node, resolvConf string, seccompDefault bool, maxRestart time.Duration) *pod.Node {
	out := &pod.Node{
		Name:           node.Name,
		ResolvConf:     resolvConf,
		Allocatable:    node.Status.Allocatable,
		SeccompDefault: seccompDefault,
		BackOff:        pod.BackOffPolicy{Initial: pod.DefaultBackOff.Initial, Max: maxRestart},
	}
	for _, a := range node.Status.Addresses {
		switch a.Type { //nolint:exhaustive // a decision knows no other
		case corev1.NodeInternalIP:
			out.IPs = append(out.IPs, a.Address)
		case corev1.NodeHostName:
			out.Hostname = a.Address
		}
	}
	return out
}
