package metrics

import (
	corev1 "k8s.io/api/core/v1"
)

// kubeletNow is what a kubelet tells of how things stand.
func kubeletNow() []metric[Snapshot] {
	static := []string{"static"}
	return []metric[Snapshot]{
		{"kubelet_node_name", "The name of the node; always 1.", gauge, []string{"node"}, func(s Snapshot) []sample {
			if s.Node == nil {
				return nil
			}
			return is(s.Node.Name)
		}},
		{"kubelet_running_pods", "How many pods have a sandbox that runs.", gauge, nil, runningPods},
		{"kubelet_running_containers", "How many containers are in a state.", gauge, []string{"container_state"}, runningContainers},
		{"kubelet_desired_pods", "How many pods there are to be; static: from the manifests directory.", gauge, static,
			func(s Snapshot) []sample { return bySource(s, func(*corev1.Pod) bool { return true }) }},
		{"kubelet_active_pods", "How many pods have a place on the node; static: from the manifests directory.", gauge, static,
			func(s Snapshot) []sample { return bySource(s, func(p *corev1.Pod) bool { return !over(p) }) }},
		{"kubelet_working_pods", "How many pods are seen to, by how far they are.", gauge, []string{"lifecycle", "config", "static"}, workingPods},
		{"kubelet_managed_ephemeral_containers", "How many ephemeral containers pods have.", gauge, nil, ephemeral},
	}
}

func over(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func runningPods(s Snapshot) []sample {
	n := 0
	for _, p := range s.Pods {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue {
				n++
			}
		}
	}
	return []sample{{nil, float64(n)}}
}

// runningContainers tells as well of those that have ended and are still there.
func runningContainers(s Snapshot) []sample {
	var run, exited float64
	for _, p := range s.Pods {
		for _, c := range statuses(p) {
			run += truth(c.State.Running != nil)
			exited += truth(c.State.Terminated != nil)
		}
	}
	return []sample{{[]string{"exited"}, exited}, {[]string{"running"}, run}}
}

func bySource(s Snapshot, counts func(*corev1.Pod) bool) []sample {
	n := map[bool]int{}
	for _, p := range s.Pods {
		if counts(p) {
			n[s.Static[p.UID]]++
		}
	}
	return []sample{{[]string{""}, float64(n[false])}, {[]string{"true"}, float64(n[true])}}
}

func workingPods(s Snapshot) []sample {
	n := map[[2]string]int{}
	for _, p := range s.Pods {
		static := ""
		if s.Static[p.UID] {
			static = "true"
		}
		n[[2]string{lifecycle(p), static}]++
	}
	var samples []sample
	for _, stage := range []string{"sync", "terminating", "terminated"} {
		for _, static := range []string{"", "true"} {
			samples = append(samples, sample{[]string{stage, "desired", static}, float64(n[[2]string{stage, static}])})
		}
	}
	return samples
}

func lifecycle(p *corev1.Pod) string {
	switch {
	case over(p):
		return "terminated"
	case p.DeletionTimestamp != nil:
		return "terminating"
	}
	return "sync"
}

func ephemeral(s Snapshot) []sample {
	n := 0
	for _, p := range s.Pods {
		n += len(p.Spec.EphemeralContainers)
	}
	return []sample{{nil, float64(n)}}
}

// statuses are those of all containers of a pod.
func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, list := range [][]corev1.ContainerStatus{
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses,
	} {
		all = append(all, list...)
	}
	return all
}
