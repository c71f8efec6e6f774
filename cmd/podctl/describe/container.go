package describe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// container is any of the three sorts of containers.
type container struct {
	corev1.Container
	target string // of an ephemeral one
}

func asContainers(list []corev1.Container) []container {
	all := make([]container, len(list))
	for i, c := range list {
		all[i] = container{Container: c}
	}
	return all
}

func ephemeral(list []corev1.EphemeralContainer) []container {
	all := make([]container, len(list))
	for i, c := range list {
		all[i] = container{corev1.Container(c.EphemeralContainerCommon), c.TargetContainerName}
	}
	return all
}

func (p *page) containers(title string, list []container, statuses []corev1.ContainerStatus) {
	if len(list) == 0 {
		return
	}
	p.line(0, title+":")
	for _, c := range list {
		p.line(1, c.Name+":")
		i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name })
		if i < 0 {
			p.containerHead(c, corev1.ContainerStatus{})
		} else {
			p.containerHead(c, statuses[i])
			p.containerStatus(statuses[i])
		}
		p.containerTail(c)
	}
}

func (p *page) containerHead(c container, status corev1.ContainerStatus) {
	p.line(2, "Container ID:", status.ContainerID)
	p.line(2, "Image:", c.Image)
	p.line(2, "Image ID:", status.ImageID)
	var ports, hostPorts []string
	for _, port := range c.Ports {
		text := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
		if port.Name != "" {
			text += " (" + port.Name + ")"
		}
		ports = append(ports, text)
		hostPorts = append(hostPorts, fmt.Sprintf("%d/%s", port.HostPort, port.Protocol))
	}
	plural := ""
	if len(ports) > 1 {
		plural = "s"
	}
	p.line(2, "Port"+plural+":", or(strings.Join(ports, ", "), none))
	p.line(2, "Host Port"+plural+":", or(strings.Join(hostPorts, ", "), none))
	if sc := c.SecurityContext; sc != nil {
		p.seccomp(2, 3, sc.SeccompProfile)
	}
	p.words("Command", c.Command)
	p.words("Args", c.Args)
}

// words writes a command a word a line, a word of several lines on as many.
func (p *page) words(name string, words []string) {
	if len(words) == 0 {
		return
	}
	p.line(2, name+":")
	for _, word := range words {
		for line := range strings.SplitSeq(word, "\n") {
			p.line(3, line)
		}
	}
}

func (p *page) containerStatus(status corev1.ContainerStatus) {
	p.state("State", status.State)
	if status.LastTerminationState.Terminated != nil {
		p.state("Last State", status.LastTerminationState)
	}
	ready := "False"
	if status.Ready {
		ready = "True"
	}
	p.line(2, "Ready:", ready)
	p.line(2, "Restart Count:", status.RestartCount)
}

func (p *page) state(name string, state corev1.ContainerState) {
	switch {
	case state.Running != nil:
		p.line(2, name+":", "Running")
		p.line(3, "Started:", instant(state.Running.StartedAt))
	case state.Terminated != nil:
		p.terminated(name, state.Terminated)
	case state.Waiting != nil:
		p.line(2, name+":", "Waiting")
		if state.Waiting.Reason != "" {
			p.line(3, "Reason:", state.Waiting.Reason)
		}
		if state.Waiting.Message != "" {
			p.line(3, "Message:", state.Waiting.Message)
		}
	default:
		p.line(2, name+":", "Waiting")
	}
}

func (p *page) terminated(name string, end *corev1.ContainerStateTerminated) {
	p.line(2, name+":", "Terminated")
	if end.Reason != "" {
		p.line(3, "Reason:", end.Reason)
	}
	if end.Message != "" {
		p.line(3, "Message:", strings.TrimSuffix(end.Message, "\n"))
	}
	p.line(3, "Exit Code:", end.ExitCode)
	if end.Signal > 0 {
		p.line(3, "Signal:", end.Signal)
	}
	p.line(3, "Started:", instant(end.StartedAt))
	p.line(3, "Finished:", instant(end.FinishedAt))
}

func (p *page) containerTail(c container) {
	p.resources("Limits", c.Resources.Limits)
	p.resources("Requests", c.Resources.Requests)
	p.probe("Liveness", c.LivenessProbe)
	p.probe("Readiness", c.ReadinessProbe)
	p.probe("Startup", c.StartupProbe)
	if c.RestartPolicy != nil {
		p.line(2, "Restart Policy:", *c.RestartPolicy)
	}
	if c.target != "" {
		p.line(2, "Target Container:", c.target)
	}
	p.environment(c.Container)
	p.mounts(c.VolumeMounts)
}

func (p *page) resources(name string, list corev1.ResourceList) {
	if len(list) == 0 {
		return
	}
	p.line(2, name+":")
	for _, key := range slices.Sorted(maps.Keys(list)) {
		p.line(3, string(key)+":", text(list[key]))
	}
}

func text(q resource.Quantity) string { return q.String() }

func (p *page) mounts(mounts []corev1.VolumeMount) {
	var lines []string
	for _, m := range mounts {
		flags := "rw"
		if m.ReadOnly {
			flags = "ro"
		}
		if m.SubPath != "" {
			flags += fmt.Sprintf(",path=%q", m.SubPath)
		}
		lines = append(lines, fmt.Sprintf("%s from %s (%s)", m.MountPath, m.Name, flags))
	}
	slices.Sort(lines)
	p.list(2, "Mounts", lines)
}
