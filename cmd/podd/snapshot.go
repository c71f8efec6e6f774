package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/metrics"
)

// snapshot is what metrics are read from. It takes no lock.
func (d *podd) snapshot() metrics.Snapshot {
	a := d.agent.Load()
	if a == nil {
		return metrics.Snapshot{}
	}
	now := a.Snapshot()
	s := metrics.Snapshot{
		Restarts: map[types.UID]map[string]map[string]int{}, Static: map[types.UID]bool{}, Load: a.Load(),
		Namespaces: objects[*corev1.Namespace](now, agent.KindNamespace),
		ConfigMaps: objects[*corev1.ConfigMap](now, agent.KindConfigMap),
		Secrets:    objects[*corev1.Secret](now, agent.KindSecret),
		Claims:     objects[*corev1.PersistentVolumeClaim](now, agent.KindPersistentVolumeClaim),
	}
	for _, e := range now.List(agent.KindPod) {
		s.Pods = append(s.Pods, e.Pod())
		s.Restarts[e.Pod().UID], s.Static[e.Pod().UID] = e.Restarts, e.Source != agent.SourceAPI
	}
	if n := d.reconnects.Load(); n != nil {
		s.Reconnects = n.Load()
	}
	if nodes := objects[*corev1.Node](now, agent.KindNode); len(nodes) > 0 {
		s.Node = nodes[0]
	}
	if m := d.manifests.Load(); m != nil {
		st := m.Status()
		s.Manifests = map[string]int{"applied": st.Applied, "broken": st.Broken, "waiting": st.Waiting}
	}
	return s
}

// objects are those of one kind.
func objects[T agent.Object](s *agent.Snapshot, kind string) []T {
	entries := s.List(kind)
	all := make([]T, 0, len(entries))
	for _, e := range entries {
		if o, ok := e.Object.(T); ok {
			all = append(all, o)
		}
	}
	return all
}
