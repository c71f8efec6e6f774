package pod

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NewStatus is that of a pod nobody has looked at yet, as an API server gives it.
func NewStatus(p *corev1.Pod) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(p)}
}

// report computes the status from the memo, which by now holds everything.
func (d *decision) report() {
	d.learnPhase()
	d.learnIPs()
	m := &d.m.Durable
	st := corev1.PodStatus{
		ObservedGeneration: d.pod.Generation,
		Phase:              m.Phase,
		QOSClass:           qosClass(d.pod),
	}
	start := seconds(m.StartedAt)
	st.StartTime = &start
	if r := m.Rejected; r != nil {
		st.Reason, st.Message = r.Reason, "Pod was rejected: "+r.Message
	} else {
		d.addresses(&st)
		d.containerStatuses(&st)
		st.AllocatedResources = requests(d.pod)
		st.Resources = &corev1.ResourceRequirements{Requests: st.AllocatedResources.DeepCopy(), Limits: heldLimits(d.pod)}
	}
	if v := m.Verdict; v != nil && m.Phase == corev1.PodFailed {
		st.Reason, st.Message = v.Reason, v.Message
	}
	d.conditions(&st)
	d.reportShutdown(&st)
	d.out.Status = st
}

// learnIPs remembers the addresses, which a status keeps after the network is
// gone.
func (d *decision) learnIPs() {
	if ips := d.podIPs(); len(ips) > 0 {
		d.m.Durable.IPs = ips
	}
}

// podIPs are the pod's addresses now: at most two, as in a status.
func (d *decision) podIPs() []string {
	ips := d.in.Node.IPs
	if !d.pod.Spec.HostNetwork {
		ips = nil
		if n := d.in.Seen.Network; n != nil && n.Ready {
			ips = n.IPs
		}
	}
	return slices.Clone(ips[:min(len(ips), 2)])
}

func (d *decision) addresses(st *corev1.PodStatus) {
	for _, ip := range d.m.Durable.IPs {
		st.PodIPs = append(st.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(st.PodIPs) > 0 {
		st.PodIP = st.PodIPs[0].IP
	}
	for _, ip := range d.in.Node.IPs[:min(len(d.in.Node.IPs), 2)] {
		st.HostIPs = append(st.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(st.HostIPs) > 0 {
		st.HostIP = st.HostIPs[0].IP
	}
}

// containerStatuses fills the statuses in a kubelet's order: init containers as
// they run, app containers by name.
func (d *decision) containerStatuses(st *corev1.PodStatus) {
	for i := range d.pod.Spec.InitContainers {
		spec := &d.pod.Spec.InitContainers[i]
		cs := d.containerStatus(spec)
		cs.Ready = cs.State.Terminated != nil && cs.State.Terminated.ExitCode == 0
		if isSidecar(spec) {
			cs.Ready = d.ready(spec)
		}
		st.InitContainerStatuses = append(st.InitContainerStatuses, cs)
	}
	for _, spec := range d.apps() {
		cs := d.containerStatus(spec)
		cs.Ready = d.ready(spec)
		st.ContainerStatuses = append(st.ContainerStatuses, cs)
	}
	sortStatuses(st.ContainerStatuses)
	st.EphemeralContainerStatuses = d.ephemeralStatuses()
}

func sortStatuses(all []corev1.ContainerStatus) {
	slices.SortFunc(all, func(a, b corev1.ContainerStatus) int { return strings.Compare(a.Name, b.Name) })
}

// ready says whether a container counts as ready. In a pod that is going down
// none does.
func (d *decision) ready(spec *corev1.Container) bool {
	c := d.container(spec.Name)
	return d.in.Deleted == nil && !d.leavesWithNode() && c.Stage == StageRunning && d.started(spec, c) && (spec.ReadinessProbe == nil || c.Ready)
}

func (d *decision) started(spec *corev1.Container, c *ContainerMemo) bool {
	return c.Stage == StageRunning && (spec.StartupProbe == nil || c.Started)
}

func (d *decision) containerStatus(spec *corev1.Container) corev1.ContainerStatus {
	c := d.container(spec.Name)
	started := d.started(spec, c)
	cs := corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, Started: &started, RestartCount: int32(c.Attempt),
		State: d.containerState(spec.Name, c), VolumeMounts: mountStatuses(spec), StopSignal: lifecycleOf(spec).StopSignal,
	}
	if c.Last != nil {
		cs.LastTerminationState.Terminated = d.terminated(spec.Name, c.Last)
	}
	if cs.State.Waiting != nil && c.Exit != nil {
		cs.LastTerminationState.Terminated = d.terminated(spec.Name, c.Exit)
	}
	d.made(&cs, spec, c)
	return cs
}

// made fills in what a status tells once there is, or was, a container.
func (d *decision) made(cs *corev1.ContainerStatus, spec *corev1.Container, c *ContainerMemo) {
	attempt := c.Attempt
	if c.Stage == StageWaiting || c.Stage == StageCreating && d.current(spec.Name, c) == nil {
		if c.Last == nil {
			return
		}
		attempt = c.Last.Attempt
		cs.RestartCount = int32(attempt)
	}
	if c.Image != "" {
		cs.Image, cs.ImageID = c.Image, c.ImageID
	}
	cs.ContainerID = "containerd://" + ID(d.pod.UID, spec.Name, attempt)
	cs.AllocatedResources = spec.Resources.Requests.DeepCopy()
	cs.Resources = spec.Resources.DeepCopy()
	if seen := d.current(spec.Name, c); seen != nil && seen.User != nil {
		cs.User = &corev1.ContainerUser{Linux: seen.User.DeepCopy()}
	}
}

func (d *decision) containerState(name string, c *ContainerMemo) corev1.ContainerState {
	wait, waits := d.waiting[name]
	switch {
	case c.Stage == StageRunning:
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: seconds(c.StartedAt)}}
	case c.Exit != nil && !waits:
		return corev1.ContainerState{Terminated: d.terminated(name, c.Exit)}
	case d.over() && d.initsDone():
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: codeUnknown, Reason: reasonUnknown, Message: messageUnknown,
		}}
	case !waits:
		wait.Reason = "ContainerCreating"
		if len(d.pod.Spec.InitContainers) > 0 {
			wait.Reason = "PodInitializing"
		}
	}
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: wait.Reason, Message: wait.Message}}
}

func (d *decision) terminated(name string, e *Exit) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		ExitCode: int32(e.Code), Reason: e.Reason, Message: e.Message,
		StartedAt: seconds(e.StartedAt), FinishedAt: seconds(e.FinishedAt),
		ContainerID: "containerd://" + ID(d.pod.UID, name, e.Attempt),
	}
}

// mountStatuses tell, for each mount, whether it is read-only all the way down.
func mountStatuses(spec *corev1.Container) []corev1.VolumeMountStatus {
	var all []corev1.VolumeMountStatus
	for _, m := range spec.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &mode
		}
		all = append(all, s)
	}
	return all
}
