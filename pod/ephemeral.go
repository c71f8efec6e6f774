package pod

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// ephemerals are the pod's ephemeral containers: added while it runs, to look
// into it. Each runs once, from when there is a sandbox, whatever the other
// containers do; none counts for the phase or a condition, and nobody waits for
// its end but the pod's own. Source: KEP-277.
func ephemerals(p *corev1.Pod) []*corev1.Container {
	all := make([]*corev1.Container, len(p.Spec.EphemeralContainers))
	for i := range all {
		all[i] = (*corev1.Container)(&p.Spec.EphemeralContainers[i].EphemeralContainerCommon)
	}
	return all
}

// ephemeral is one of them; nil for a container of another kind.
func ephemeral(p *corev1.Pod, name string) *corev1.EphemeralContainer {
	for i := range p.Spec.EphemeralContainers {
		if c := &p.Spec.EphemeralContainers[i]; c.Name == name {
			return c
		}
	}
	return nil
}

// unended are the ephemeral containers that run, or will.
func (d *decision) unended() []*corev1.Container {
	return slices.DeleteFunc(ephemerals(d.pod), func(spec *corev1.Container) bool {
		return d.container(spec.Name).Stage == StageExited
	})
}

// target is the id of the container whose process namespace an ephemeral
// container is to share; empty for every other, and where the pod has but one.
// The error, in a kubelet's and containerd's words, says that it does not run.
func (d *decision) target(name string) (string, error) {
	spec := ephemeral(d.pod, name)
	if spec == nil || spec.TargetContainerName == "" || d.pod.Spec.HostPID || isTrue(d.pod.Spec.ShareProcessNamespace) {
		return "", nil
	}
	other := spec.TargetContainerName
	c := d.m.Durable.Containers[other]
	switch {
	case c == nil || c.Stage != StageRunning && c.ended() == nil:
		return "", fmt.Errorf("unable to find target container %s", other)
	case c.Stage != StageRunning:
		return "", fmt.Errorf("invalid target container: container %q is not running - in state CONTAINER_EXITED", other)
	}
	return ID(d.pod.UID, other, c.Attempt), nil
}

// ephemeralStatuses are by name, and tell nothing of probes, as a kubelet's.
func (d *decision) ephemeralStatuses() []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, spec := range ephemerals(d.pod) {
		cs := d.containerStatus(spec)
		cs.Started = nil
		all = append(all, cs)
	}
	sortStatuses(all)
	return all
}

// Containers are all of a pod's: init, app and ephemeral containers, as its spec
// lists them.
func Containers(p *corev1.Pod) []*corev1.Container {
	var all []*corev1.Container
	for _, list := range [...][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return append(all, ephemerals(p)...)
}
