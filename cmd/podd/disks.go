package main

import (
	"context"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/host"
)

// disks implements agent.Disks.
type disks struct {
	containers *runtime.Client
	logDir     string
}

func (d disks) Images(ctx context.Context) (pod.FileSystem, error) {
	root, err := d.containers.ImageRoot(ctx)
	if err != nil {
		return pod.FileSystem{}, err
	}
	return host.FileSystem(root)
}

func (d disks) Logs(context.Context) (pod.FileSystem, error) { return host.FileSystem(d.logDir) }
