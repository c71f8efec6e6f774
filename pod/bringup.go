package pod

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// bringUp wants what is missing between the pod and its running containers.
func (d *decision) bringUp() {
	if d.holding != "" || !d.ground() {
		return
	}
	up := d.network()
	up = d.sandbox() && up
	for _, spec := range d.unended() {
		d.run(spec, up)
	}
	for _, spec := range d.turn() {
		d.run(spec, up)
		if d.holdsUp(spec) {
			break
		}
	}
}

// evict ends containers that the pod does not have: no spec update can take
// one away, but what exists may not be what is remembered.
func (d *decision) evict() {
	for _, name := range d.names() {
		if findContainer(d.pod, name) != nil || ephemeral(d.pod, name) != nil {
			continue
		}
		c := d.container(name)
		switch c.Stage {
		case StageRunning:
			d.stop(name, c, stopOrder{because: fmt.Sprintf("Stopping container %s", name), grace: d.grace()})
			d.kill(name, c)
		case StageCreating:
			d.discard(name, c)
		}
	}
}

// ground makes what needs nothing else: the cgroup and the volumes.
func (d *decision) ground() bool {
	ready := d.in.Seen.Cgroup
	if !ready {
		cfg := &CgroupConfig{UID: d.pod.UID, Resources: podResources(d.pod)}
		d.want(Action{Kind: CreateCgroup, Subject: SubjectCgroup, Reason: "the pod has no cgroup", Cgroup: cfg})
	}
	for i := range d.pod.Spec.Volumes {
		ready = d.volume(&d.pod.Spec.Volumes[i]) && ready
	}
	return ready
}

// network makes the pod's network, and says whether it is there.
func (d *decision) network() bool {
	if d.networkReady() {
		return true
	}
	d.want(Action{
		Kind: SetupNetwork, Subject: SubjectNetwork, Reason: "the pod has no network",
		Network: d.networkConfig(), Attempt: d.m.Durable.Sandbox.Attempt,
	})
	return false
}

func (d *decision) networkConfig() *NetworkConfig {
	return &NetworkConfig{
		UID: d.pod.UID, Namespace: d.pod.Namespace, Name: d.pod.Name,
		SandboxID: d.sandboxID(), HostPorts: hostPorts(d.pod), Labels: d.pod.Labels,
	}
}

// hostPorts are the ports of the host that lead to the pod.
func hostPorts(p *corev1.Pod) []HostPort {
	if p.Spec.HostNetwork {
		return nil
	}
	var ports []HostPort
	containers := slices.Clone(p.Spec.Containers)
	for _, c := range sidecars(p) {
		containers = append(containers, *c)
	}
	for _, c := range containers {
		for _, cp := range c.Ports {
			if cp.HostPort == 0 {
				continue
			}
			ports = append(ports, HostPort{
				HostIP: cp.HostIP, HostPort: cp.HostPort, ContainerPort: cp.ContainerPort, Protocol: protocol(cp),
			})
		}
	}
	return ports
}

func protocol(p corev1.ContainerPort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.Protocol
}

// sandbox makes the pause container, and says whether it runs.
func (d *decision) sandbox() bool {
	if s := d.sandboxSeen(); s != nil && s.State == Running {
		d.removeStraySandboxes()
		return true
	}
	if due := d.m.Durable.Sandbox.NotBefore; due.After(d.now) {
		d.wake(due)
		return false
	}
	cfg, err := d.sandboxConfig()
	if err != nil {
		d.tell("sandbox", sandboxFailed(err.Error()))
		return false
	}
	d.want(Action{
		Kind: CreateSandbox, Subject: SubjectSandbox, Reason: "the pod has no sandbox",
		Sandbox: cfg, Attempt: cfg.Attempt,
	})
	return false
}

func (d *decision) sandboxConfig() (*SandboxConfig, error) {
	hostname, domain := hostnameOf(d.pod, d.in.Node)
	nodename, err := nodenameOf(d.pod, hostname, domain)
	if err != nil {
		return nil, err
	}
	return &SandboxConfig{
		Pod: d.pod, ID: d.sandboxID(), Attempt: d.m.Durable.Sandbox.Attempt,
		Hostname: nodename, ResolvConf: resolvConf(d.pod, d.in.Node.ResolvConf),
		HostNetwork: d.pod.Spec.HostNetwork, Seccomp: d.in.Node.SeccompDefault,
	}, nil
}

// removeStraySandboxes removes attempts that are not the current one: they
// were on their way when they were given up.
func (d *decision) removeStraySandboxes() {
	for _, s := range d.in.Seen.Sandboxes {
		if s.ID != d.sandboxID() {
			d.want(Action{
				Kind: RemoveSandbox, Subject: SubjectSandbox, Reason: "another attempt is the pod's", ID: s.ID, Attempt: s.Attempt,
			})
		}
	}
}

func sandboxFailed(message string) Event {
	return Event{
		Type: corev1.EventTypeWarning, Reason: "FailedCreatePodSandBox",
		Message: "Failed to create pod sandbox: " + message,
	}
}

// turn is what may run now: the sidecars up to the first init container that is
// not through, or that has not started, and that one; or else all app
// containers beside the sidecars. A sidecar that ends holds nobody up that has
// begun in this sandbox.
func (d *decision) turn() []*corev1.Container {
	begun := d.begunLast()
	var now []*corev1.Container
	for i := range d.pod.Spec.InitContainers {
		spec := &d.pod.Spec.InitContainers[i]
		through := d.initDone(spec.Name)
		if isSidecar(spec) {
			now = append(now, spec)
			through = i < begun || d.started(spec, d.container(spec.Name)) && postStarted(spec, d.container(spec.Name))
		}
		if !through {
			if !isSidecar(spec) {
				now = append(now, spec)
			}
			return now
		}
	}
	return append(now, d.apps()...)
}

// begunLast is the place among the init containers of the last that has begun in
// this sandbox; beyond all of them if an app container has.
func (d *decision) begunLast() int {
	if d.appsBegun() {
		return len(d.pod.Spec.InitContainers)
	}
	for i := len(d.pod.Spec.InitContainers) - 1; i > 0; i-- {
		if d.begunHere(&d.pod.Spec.InitContainers[i]) {
			return i
		}
	}
	return 0
}

func (d *decision) apps() []*corev1.Container {
	apps := make([]*corev1.Container, len(d.pod.Spec.Containers))
	for i := range apps {
		apps[i] = &d.pod.Spec.Containers[i]
	}
	return apps
}

// initDone says whether an init container succeeded in this sandbox.
func (d *decision) initDone(name string) bool {
	c := d.container(name)
	return c.Stage == StageExited && c.Exit.Code == 0 && c.Sandbox == d.m.Durable.Sandbox.Attempt
}

// initsDone says whether all init containers have succeeded, in whichever
// sandbox. Sidecars never do.
func (d *decision) initsDone() bool {
	for i := range d.pod.Spec.InitContainers {
		spec := &d.pod.Spec.InitContainers[i]
		if exit := d.container(spec.Name).ended(); !isSidecar(spec) && (exit == nil || exit.Code != 0) {
			return false
		}
	}
	return true
}

func (d *decision) isInit(name string) bool {
	for i := range d.pod.Spec.InitContainers {
		if d.pod.Spec.InitContainers[i].Name == name {
			return true
		}
	}
	return false
}
