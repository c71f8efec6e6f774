package fake

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Cgroups implements agent.Cgroups.
type Cgroups struct{ s *Session }

// Create implements agent.Cgroups.
func (x Cgroups) Create(ctx context.Context, cfg pod.CgroupConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.CreateCgroup, cfg.UID, "cgroup", func() error {
		w.of(cfg.UID).cgroup = true
		return nil
	})
}

// Remove implements agent.Cgroups.
func (x Cgroups) Remove(ctx context.Context, uid types.UID) error {
	w := x.s.world
	return x.s.effect(ctx, pod.RemoveCgroup, uid, "cgroup", func() error {
		w.checkIdle(uid, "cgroup")
		w.of(uid).cgroup = false
		return nil
	})
}

// checkIdle: what a pod stands on goes only when nothing of it runs. The lock
// is held.
func (w *World) checkIdle(uid types.UID, what string) {
	r := w.of(uid)
	for _, c := range r.containers {
		if c.State == pod.Running {
			w.violate("%s: the %s is removed while %s runs", r.key.Name, what, c.Name)
		}
	}
}

// Volumes implements agent.Volumes.
type Volumes struct{ s *Session }

// Setup implements agent.Volumes.
func (x Volumes) Setup(ctx context.Context, cfg pod.VolumeConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.SetupVolume, cfg.UID, "volume "+cfg.Volume.Name, func() error {
		r := w.of(cfg.UID)
		r.volumes[cfg.Volume.Name] = cfg.Hash
		r.files = true
		return nil
	})
}

// Remove implements agent.Volumes.
func (x Volumes) Remove(ctx context.Context, uid types.UID) error {
	w := x.s.world
	return x.s.effect(ctx, pod.RemoveVolumes, uid, "files", func() error {
		w.checkIdle(uid, "volumes")
		r := w.of(uid)
		clear(r.volumes)
		r.files = false
		return nil
	})
}

// Network implements agent.Network.
type Network struct{ s *Session }

// Setup implements agent.Network.
func (x Network) Setup(ctx context.Context, cfg pod.NetworkConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.SetupNetwork, cfg.UID, "network", func() error {
		for _, want := range cfg.HostPorts {
			if other := w.holder(want); other != nil && other.key.UID != cfg.UID {
				return &pod.Failure{Kind: pod.Conflict, Message: fmt.Sprintf("host port %d is %s's", want.HostPort, other.key.Name)}
			}
		}
		r := w.of(cfg.UID)
		r.hostPorts = cfg.HostPorts
		if r.network == nil {
			r.network = &pod.Network{Ready: true, IPs: []string{fmt.Sprintf("10.88.%d.%d", len(w.pods)/250, 2+len(w.pods)%250)}}
		}
		return nil
	})
}

// holder is who has a host port. The lock is held.
func (w *World) holder(p pod.HostPort) *remains {
	for _, r := range w.pods {
		for _, has := range r.hostPorts {
			if has.HostPort == p.HostPort && has.Protocol == p.Protocol && has.HostIP == p.HostIP {
				return r
			}
		}
	}
	return nil
}

// Remove implements agent.Network.
func (x Network) Remove(ctx context.Context, cfg pod.NetworkConfig) error {
	w := x.s.world
	return x.s.effect(ctx, pod.RemoveNetwork, cfg.UID, "network", func() error {
		w.checkIdle(cfg.UID, "network")
		r := w.of(cfg.UID)
		r.network, r.hostPorts = nil, nil
		return nil
	})
}

// Host implements agent.Host.
type Host struct{ s *Session }

// Node implements agent.Host.
func (x Host) Node(context.Context) (*corev1.Node, error) {
	x.s.world.mu.Lock()
	defer x.s.world.mu.Unlock()
	return x.s.world.node.DeepCopy(), nil
}

func newNode() *corev1.Node {
	n := &corev1.Node{}
	n.Name = "fake"
	n.Status.NodeInfo.ContainerRuntimeVersion = "containerd://0.0.0"
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

// Facts are the node's, for agent.Config.Facts.
func (w *World) Facts() pod.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return pod.Node{
		Name: w.node.Name, Hostname: w.node.Name, IPs: []string{"192.0.2.1"}, Allocatable: w.node.Status.Allocatable,
	}
}

// ChangeNode changes the node.
func (w *World) ChangeNode(change func(*corev1.Node)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.node.DeepCopy()
	change(n)
	w.node = n
}
