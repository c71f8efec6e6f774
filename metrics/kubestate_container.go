package metrics

import (
	corev1 "k8s.io/api/core/v1"
)

// ofPod are the containers of one sort in a pod, with what is known of them.
type ofPod func(*corev1.Pod) ([]corev1.Container, []corev1.ContainerStatus)

func containers(p *corev1.Pod) ([]corev1.Container, []corev1.ContainerStatus) {
	return p.Spec.Containers, p.Status.ContainerStatuses
}

func initContainers(p *corev1.Pod) ([]corev1.Container, []corev1.ContainerStatus) {
	return p.Spec.InitContainers, p.Status.InitContainerStatuses
}

// containerRows tell of the containers of one sort.
func containerRows(prefix, a string, of ofPod) []metric[Snapshot] {
	known := func(name, help string, labels []string, values func(*corev1.ContainerStatus) []sample) metric[Snapshot] {
		return ofPods(prefix+name, help, append([]string{"container"}, labels...), func(p *corev1.Pod) []sample {
			_, all := of(p)
			var samples []sample
			for i := range all {
				samples = append(samples, named(all[i].Name, values(&all[i]))...)
			}
			return samples
		})
	}
	reason := []string{"reason"}
	restarts := known("_status_restarts_total", "How often "+a+" was restarted.", nil,
		func(c *corev1.ContainerStatus) []sample { return []sample{{nil, float64(c.RestartCount)}} })
	restarts.kind = counter
	return []metric[Snapshot]{
		containerInfo(prefix, a, of),
		containerResources(prefix+"_resource_limits", "What "+a+" may use of a resource at most.", of,
			func(c *corev1.Container) corev1.ResourceList { return c.Resources.Limits }),
		containerResources(prefix+"_resource_requests", "What "+a+" asks for of a resource.", of,
			func(c *corev1.Container) corev1.ResourceList { return c.Resources.Requests }),
		restarts,
		known("_status_ready", "Whether "+a+" is ready.", nil,
			func(c *corev1.ContainerStatus) []sample { return []sample{{nil, truth(c.Ready)}} }),
		known("_status_running", "Whether "+a+" runs.", nil,
			func(c *corev1.ContainerStatus) []sample { return []sample{{nil, truth(c.State.Running != nil)}} }),
		known("_status_terminated", "Whether "+a+" has ended.", nil,
			func(c *corev1.ContainerStatus) []sample { return []sample{{nil, truth(c.State.Terminated != nil)}} }),
		known("_status_terminated_reason", "Why "+a+" that has ended has; always 1.", reason,
			func(c *corev1.ContainerStatus) []sample { return ended(c.State, isReason) }),
		known("_status_waiting", "Whether "+a+" waits to run.", nil,
			func(c *corev1.ContainerStatus) []sample { return []sample{{nil, truth(c.State.Waiting != nil)}} }),
		known("_status_waiting_reason", "What "+a+" that waits to run waits for; always 1.", reason, waitsFor),
		known("_status_last_terminated_reason", "Why "+a+" ended the last time; always 1.", reason,
			func(c *corev1.ContainerStatus) []sample { return ended(c.LastTerminationState, isReason) }),
		known("_status_last_terminated_exitcode", "The exit code of "+a+", the last time it ended.", nil,
			func(c *corev1.ContainerStatus) []sample {
				return ended(c.LastTerminationState, func(t *corev1.ContainerStateTerminated) []sample {
					return []sample{{nil, float64(t.ExitCode)}}
				})
			}),
		known("_status_last_terminated_timestamp", "When "+a+" ended the last time, in seconds since 1970.", nil,
			func(c *corev1.ContainerStatus) []sample {
				return ended(c.LastTerminationState, func(t *corev1.ContainerStateTerminated) []sample { return when(&t.FinishedAt) })
			}),
		known("_state_started", "When "+a+" was started, in seconds since 1970.", nil, startedAt),
	}
}

// named puts the container's name before the labels.
func named(container string, samples []sample) []sample {
	for i := range samples {
		samples[i].labels = append([]string{container}, samples[i].labels...)
	}
	return samples
}

// containerInfo tells of containers whose status is known; of init containers
// their own restart policy as well.
func containerInfo(prefix, a string, of ofPod) metric[Snapshot] {
	labels := []string{"container", "image_spec", "image", "image_id", "container_id"}
	init := prefix == "kube_pod_init_container"
	if init {
		labels = append(labels, "restart_policy")
	}
	return ofPods(prefix+"_info", "What "+a+" was made from; always 1.", labels, func(p *corev1.Pod) []sample {
		specs, statuses := of(p)
		var samples []sample
		for i := range specs {
			for j := range statuses {
				c, s := &specs[i], &statuses[j]
				if c.Name != s.Name {
					continue
				}
				values := []string{c.Name, c.Image, s.Image, s.ImageID, s.ContainerID}
				if init {
					values = append(values, restartPolicy(c))
				}
				samples = append(samples, is(values...)...)
			}
		}
		return samples
	})
}

func restartPolicy(c *corev1.Container) string {
	if c.RestartPolicy == nil {
		return ""
	}
	return string(*c.RestartPolicy)
}

func containerResources(name, help string, of ofPod, list func(*corev1.Container) corev1.ResourceList) metric[Snapshot] {
	return ofPods(name, help, []string{"container", "node", "resource", "unit"}, func(p *corev1.Pod) []sample {
		specs, _ := of(p)
		var samples []sample
		for i := range specs {
			for _, s := range resources(list(&specs[i])) {
				s.labels = append([]string{specs[i].Name, p.Spec.NodeName}, s.labels...)
				samples = append(samples, s)
			}
		}
		return samples
	})
}

// ended tells of an end, if there was one.
func ended(state corev1.ContainerState, values func(*corev1.ContainerStateTerminated) []sample) []sample {
	if state.Terminated == nil {
		return nil
	}
	return values(state.Terminated)
}

func isReason(t *corev1.ContainerStateTerminated) []sample { return is(t.Reason) }

func waitsFor(c *corev1.ContainerStatus) []sample {
	if c.State.Waiting == nil {
		return nil
	}
	return is(c.State.Waiting.Reason)
}

func startedAt(c *corev1.ContainerStatus) []sample {
	switch {
	case c.State.Running != nil:
		return when(&c.State.Running.StartedAt)
	case c.State.Terminated != nil:
		return when(&c.State.Terminated.StartedAt)
	}
	return nil
}
