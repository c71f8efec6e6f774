package main

import (
	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/agent/probe"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/cgroup"
	"github.com/podd-io/podd/runtime/host"
	"github.com/podd-io/podd/runtime/offline"
	"github.com/podd-io/podd/systemd"
)

// agentConfig hands the agent everything it works with.
func (d *podd) agentConfig(p *parts, f *facts, db *store.Store, archives *offline.Directory) (agent.Config, error) {
	settings, err := d.cfg.settings()
	if err != nil {
		return agent.Config{}, err
	}
	build, images := readBuild(), runtime.Images{Client: p.containers}
	return agent.Config{
		Store:      timed{db, d.store.Wrote},
		Admitter:   admit.New(),
		Images:     offline.Patient{Puller: images, Look: archives.Look},
		ImageStore: images,
		Sandboxes:  p.sandboxes,
		Containers: p.containers,
		Execer:     p.containers,
		Attacher:   p.containers,
		Files:      p.containers,
		Dialer:     p.network,
		Volumes:    p.volumes,
		Cgroups:    p.cgroups,
		Network:    p.network,
		Logs:       p.logs,
		Prober:     probe.New(),
		Caller:     probe.NewCaller(),
		Observer:   p.world(),
		Host:       p.host,
		Conditions: host.Conditions{Unit: systemd.ActiveState},
		Facts:      f.get,
		Tracer:     d.tracer,
		Self:       self{d},
		Meter:      d.meter,
		Usage:      p.usage,
		Disks:      disks{p.containers, d.cfg.LogDir},
		Settings:   settings,
		Collected:  d.images.Collected,
		Working:    p.containers.Ready,
		Backup:     db.Backup,
		Version: agent.Version{
			Version: build.Version, Commit: build.Commit, Go: build.GoVersion, Kubernetes: build.KubernetesVersion,
			Runtime: p.ociRuntime, Cgroup: cgroup.Version(),
		},
		Log: d.log,
	}, nil
}
