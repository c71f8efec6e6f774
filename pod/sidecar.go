package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// isSidecar says whether an init container is one that runs beside the others:
// the next begins once it has started, it is restarted whatever the pod's
// policy, and it is ended after all app containers. Source: KEP-753.
func isSidecar(init *corev1.Container) bool {
	return init.RestartPolicy != nil && *init.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// sidecars are the pod's, in the order in which they start.
func sidecars(p *corev1.Pod) []*corev1.Container {
	var all []*corev1.Container
	for i := range p.Spec.InitContainers {
		if init := &p.Spec.InitContainers[i]; isSidecar(init) {
			all = append(all, init)
		}
	}
	return all
}

// lasting are the containers that are to run as long as the pod does: its
// sidecars and its app containers.
func (d *decision) lasting() []*corev1.Container {
	return slices.Concat(sidecars(d.pod), d.apps())
}

// appsBegun says whether an app container has begun in this sandbox: from then
// on no sidecar holds the others back.
func (d *decision) appsBegun() bool {
	return slices.ContainsFunc(d.apps(), d.begunHere)
}

// begunHere says whether a container has begun in this sandbox.
func (d *decision) begunHere(spec *corev1.Container) bool {
	c := d.container(spec.Name)
	return c.Sandbox == d.m.Durable.Sandbox.Attempt && (c.Stage != StageWaiting || c.Last != nil)
}

// runs says whether anything of a container runs, or is about to.
func (c *ContainerMemo) runs() bool { return c.Stage == StageRunning || c.Stage == StageCreating }

// needed says whether a sidecar has to go on while the pod is ended, since what
// was started after it has not ended yet. Nobody's debugging is a reason.
func (d *decision) needed(name string) bool {
	all := sidecars(d.pod)
	i := slices.IndexFunc(all, func(spec *corev1.Container) bool { return spec.Name == name })
	if i < 0 {
		return false
	}
	later := map[string]bool{}
	for _, spec := range all[:i+1] {
		later[spec.Name] = true
	}
	for other, c := range d.m.Durable.Containers {
		if !later[other] && c.runs() && ephemeral(d.pod, other) == nil {
			return true
		}
	}
	return false
}

// remaining is what is left of a grace period that began with the pod's end; a
// sidecar's turn comes when others have used some of it.
func (d *decision) remaining(grace time.Duration) time.Duration {
	from := d.now
	if del := d.in.Deleted; del != nil {
		from = later(del.At, d.m.Durable.Turn)
	} else if v := d.m.Durable.Verdict; v != nil {
		from = v.At
	} else if d.in.Shutdown != nil {
		from = d.m.Durable.Turn
	}
	return grace - max(0, d.now.Sub(from))
}

// anythingRuns says whether a container runs, or is about to.
func (d *decision) anythingRuns() bool {
	for _, c := range d.m.Durable.Containers {
		if c.runs() {
			return true
		}
	}
	return false
}
