package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/cni"
	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/cgroup"
	"github.com/podd-io/podd/runtime/logfile"
	"github.com/podd-io/podd/runtime/volume"
)

// world tells what exists of pods: each part knows of its own, and it puts them
// together. It implements agent.Observer.
type world struct {
	containers *runtime.Client
	network    *cni.Network
	volumes    *volume.Volumes
	cgroups    *cgroup.Cgroups
	logs       *logfile.Logs
}

// Observe implements agent.Observer.
func (w world) Observe(ctx context.Context, key pod.Key, refs []string) (pod.Observed, error) {
	var seen pod.Observed
	var err error
	seen.Sandboxes, seen.Containers, seen.Images, err = w.containers.Observe(ctx, key.UID, refs)
	if err != nil {
		return pod.Observed{}, err
	}
	seen.Pulls = runtime.Images{Client: w.containers}.Transfers(ctx, refs)
	if seen.Network, err = w.network.Observe(ctx, key.UID); err != nil {
		return pod.Observed{}, err
	}
	if seen.Volumes, seen.Files, err = w.volumes.Observe(key.UID); err != nil {
		return pod.Observed{}, err
	}
	if seen.Cgroup, err = w.cgroups.Exists(key.UID); err != nil {
		return pod.Observed{}, err
	}
	seen.Logs, err = w.logs.Exists(key)
	return seen, err
}

// Pods implements agent.Observer. Logs alone make no pod: the directory of logs
// may be shared with a kubelet.
func (w world) Pods(ctx context.Context) ([]pod.Key, error) {
	containers, err1 := w.containers.Pods(ctx)
	wired, err2 := w.network.Pods()
	onDisk, err3 := w.volumes.Pods()
	grouped, err4 := w.cgroups.Pods()
	return union(containers, wired, onDisk, grouped), errors.Join(err1, err2, err3, err4)
}

// Hints implements agent.Observer.
func (w world) Hints(ctx context.Context, hint func(types.UID)) error {
	return w.containers.Hints(ctx, hint)
}

// union has every pod once, by uid, with its name if any list has it.
func union(lists ...[]pod.Key) []pod.Key {
	all := map[types.UID]pod.Key{}
	for _, key := range slices.Concat(lists...) {
		known := all[key.UID]
		all[key.UID] = pod.Key{
			UID:       key.UID,
			Namespace: cmp.Or(known.Namespace, key.Namespace),
			Name:      cmp.Or(known.Name, key.Name),
		}
	}
	keys := make([]pod.Key, 0, len(all))
	for _, key := range all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b pod.Key) int { return cmp.Compare(a.UID, b.UID) })
	return keys
}
