package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/pause"
	"github.com/podd-io/podd/runtime/stats"
)

// newUsage makes the reader of what is used. It is the one place that tells it
// where pods' cgroups are.
func (p *parts) newUsage(cfg Config) (*stats.Reader, error) {
	hierarchies, err := stats.FindHierarchies()
	if err != nil {
		return nil, err
	}
	root := runtime.CgroupRoot(cfg.CgroupRoot)
	return stats.New(stats.Config{
		Hierarchies: hierarchies, Proc: "/proc",
		CgroupRoot: root.Path(), PodCgroup: root.Pod, ContainerCgroup: root.Container, SandboxCgroup: root.Sandbox,
		SandboxImage: pause.ImageName,
		Root:         cfg.Root, VolumePath: p.volumes.Path,
		LogDir: func(key pod.Key, container string) string { return filepath.Join(p.logs.Dir(key), container) },
		Images: once(p.containers.ImageRoot),
	})
}

// once asks until there is an answer, and then no more.
func once(ask func(context.Context) (string, error)) func(context.Context) (string, error) {
	var known atomic.Pointer[string]
	return func(ctx context.Context) (string, error) {
		if answer := known.Load(); answer != nil {
			return *answer, nil
		}
		answer, err := ask(ctx)
		if err == nil {
			known.Store(&answer)
		}
		return answer, err
	}
}

// usage is read for metrics.
func (d *podd) usage(ctx context.Context, of pod.UsageOf) (pod.Usage, error) {
	a := d.agent.Load()
	if a == nil {
		return pod.Usage{}, errors.New("podd has not taken up its pods yet")
	}
	return a.Usage(ctx, of)
}
