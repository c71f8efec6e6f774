package metrics

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubeState is what kube-state-metrics tells of the kinds that podd has, by the
// names, labels and ways of counting of its main branch of August 2026, but for
// what it tells only when it is configured to (labels, annotations) and what has
// no meaning on one node. Source: its docs/metrics and internal/store.
func kubeState() []metric[Snapshot] {
	rows := podRows()
	rows = append(rows, containerRows("kube_pod_container", "a container", containers)...)
	rows = append(rows, containerRows("kube_pod_init_container", "an init container", initContainers)...)
	rows = append(rows, nodeRows()...)
	return append(rows, objectRows()...)
}

// podRows tell of pods as a whole.
func podRows() []metric[Snapshot] {
	return []metric[Snapshot]{
		ofPods("kube_pod_info", "Where a pod is and what made it; always 1.",
			[]string{"host_ip", "pod_ip", "node", "created_by_kind", "created_by_name", "priority_class", "host_network"}, podInfo),
		ofPods("kube_pod_owner", "Who owns a pod, empty for nobody; always 1.",
			[]string{"owner_kind", "owner_name", "owner_is_controller"}, podOwners),
		ofPods("kube_pod_ips", "The addresses of a pod; always 1.", []string{"ip", "ip_family"}, podIPs),
		ofPods("kube_pod_created", "When a pod was created, in seconds since 1970.", nil,
			func(p *corev1.Pod) []sample { return when(&p.CreationTimestamp) }),
		ofPods("kube_pod_start_time", "When a pod was first looked at, in seconds since 1970.", nil,
			func(p *corev1.Pod) []sample { return when(p.Status.StartTime) }),
		ofPods("kube_pod_completion_time", "When the last container of a pod that has ended did, in seconds since 1970.", nil, podCompleted),
		ofPods("kube_pod_deletion_timestamp", "When a pod that is being deleted is to be gone, in seconds since 1970.", nil,
			func(p *corev1.Pod) []sample { return when(p.DeletionTimestamp) }),
		ofPods("kube_pod_restart_policy", "What a pod does when its containers end; always 1.", []string{"type"},
			func(p *corev1.Pod) []sample { return is(string(p.Spec.RestartPolicy)) }),
		ofPods("kube_pod_runtimeclass_name_info", "The RuntimeClass of a pod that names one; always 1.", []string{"runtimeclass_name"},
			func(p *corev1.Pod) []sample {
				if p.Spec.RuntimeClassName == nil {
					return nil
				}
				return is(*p.Spec.RuntimeClassName)
			}),
		ofPods("kube_pod_service_account", "The service account of a pod; always 1.", []string{"service_account"},
			func(p *corev1.Pod) []sample { return is(p.Spec.ServiceAccountName) }),
		ofPods("kube_pod_spec_volumes_persistentvolumeclaims_info", "The claims that a pod mounts; always 1.",
			[]string{"volume", "persistentvolumeclaim", "ephemeral"}, podClaims),
		ofPods("kube_pod_status_phase", "The phase of a pod: 1 for the one it is in.", []string{"phase"}, podPhase),
		ofPods("kube_pod_status_qos_class", "The QoS class of a pod: 1 for its own.", []string{"qos_class"}, podQoS),
		ofPods("kube_pod_status_ready", "Whether a pod is ready: 1 for how it is.", []string{"condition"},
			func(p *corev1.Pod) []sample { return podCondition(p, corev1.PodReady) }),
		ofPods("kube_pod_status_scheduled", "Whether a pod has its place on the node: 1 for how it is.", []string{"condition"},
			func(p *corev1.Pod) []sample { return podCondition(p, corev1.PodScheduled) }),
		ofPods("kube_pod_status_reason", "Why a pod is as it is, if one of the reasons that are counted says so; Other for any other. Always 1.",
			[]string{"reason"}, podReasons),
		since("kube_pod_status_initialized_time", "When the init containers of a pod were through", corev1.PodInitialized),
		since("kube_pod_status_container_ready_time", "Since when all containers of a pod are ready", corev1.ContainersReady),
		since("kube_pod_status_ready_time", "Since when a pod is ready", corev1.PodReady),
		since("kube_pod_status_scheduled_time", "Since when a pod has its place", corev1.PodScheduled),
	}
}

// ofPods is a row with samples of every pod. Their labels come after those that
// name the pod.
func ofPods(name, help string, labels []string, values func(*corev1.Pod) []sample) metric[Snapshot] {
	return metric[Snapshot]{name, help, gauge, append([]string{"namespace", "pod", "uid"}, labels...), func(s Snapshot) []sample {
		samples := make([]sample, 0, len(s.Pods))
		for _, p := range s.Pods {
			for _, v := range values(p) {
				samples = append(samples, sample{append([]string{p.Namespace, p.Name, string(p.UID)}, v.labels...), v.value})
			}
		}
		return samples
	}}
}

// since is the time at which a condition of pods came to be true.
func since(name, help string, condition corev1.PodConditionType) metric[Snapshot] {
	return ofPods(name, help+", in seconds since 1970.", nil, func(p *corev1.Pod) []sample {
		for i := range p.Status.Conditions {
			if c := &p.Status.Conditions[i]; c.Type == condition && c.Status == corev1.ConditionTrue {
				return when(&c.LastTransitionTime)
			}
		}
		return nil
	})
}

// is is a sample that says by its labels what is so.
func is(labels ...string) []sample { return []sample{{labels, 1}} }

// when is a time in whole seconds since 1970; none for none.
func when(t *metav1.Time) []sample {
	if t.IsZero() {
		return nil
	}
	return []sample{{nil, float64(t.Unix())}}
}

// oneOf has a sample for every value there can be: 1 for the one that it is.
func oneOf[T ~string](now T, all ...T) []sample {
	samples := make([]sample, 0, len(all))
	for _, v := range all {
		samples = append(samples, sample{[]string{string(v)}, truth(v == now)})
	}
	return samples
}

func podInfo(p *corev1.Pod) []sample {
	kind, name := "", ""
	if by := metav1.GetControllerOf(p); by != nil {
		kind, name = by.Kind, by.Name
	}
	return is(p.Status.HostIP, p.Status.PodIP, p.Spec.NodeName, kind, name, p.Spec.PriorityClassName, strconv.FormatBool(p.Spec.HostNetwork))
}

func podOwners(p *corev1.Pod) []sample {
	if len(p.OwnerReferences) == 0 {
		return is("", "", "")
	}
	var samples []sample
	for _, o := range p.OwnerReferences {
		samples = append(samples, is(o.Kind, o.Name, strconv.FormatBool(o.Controller != nil && *o.Controller))...)
	}
	return samples
}

func podIPs(p *corev1.Pod) []sample {
	var samples []sample
	for _, ip := range p.Status.PodIPs {
		samples = append(samples, is(ip.IP, familyOf(ip.IP))...)
	}
	return samples
}

func podCompleted(p *corev1.Pod) []sample {
	var last time.Time
	for _, c := range p.Status.ContainerStatuses {
		if t := c.State.Terminated; t != nil && t.FinishedAt.After(last) {
			last = t.FinishedAt.Time
		}
	}
	return when(&metav1.Time{Time: last})
}

func podClaims(p *corev1.Pod) []sample {
	var samples []sample
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			samples = append(samples, is(v.Name, v.PersistentVolumeClaim.ClaimName, "false")...)
		case v.Ephemeral != nil:
			samples = append(samples, is(v.Name, fmt.Sprintf("%s-%s", p.Name, v.Name), "true")...)
		}
	}
	return samples
}

// podPhase tells nothing of a pod that was not looked at yet.
func podPhase(p *corev1.Pod) []sample {
	if p.Status.Phase == "" {
		return nil
	}
	return oneOf(p.Status.Phase, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown, corev1.PodRunning)
}

func podQoS(p *corev1.Pod) []sample {
	if p.Status.QOSClass == "" {
		return nil
	}
	return oneOf(p.Status.QOSClass, corev1.PodQOSBestEffort, corev1.PodQOSBurstable, corev1.PodQOSGuaranteed)
}

func podCondition(p *corev1.Pod, condition corev1.PodConditionType) []sample {
	for _, c := range p.Status.Conditions {
		if c.Type == condition {
			return conditionValues(c.Status)
		}
	}
	return nil
}

// conditionValues are the words in which a condition's status is told.
func conditionValues(now corev1.ConditionStatus) []sample {
	samples := oneOf(now, corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown)
	for i, word := range []string{"true", "false", "unknown"} {
		samples[i].labels = []string{word}
	}
	return samples
}

// podReasons tells every reason that holds, whether the pod, one of its
// conditions or a container gives it.
func podReasons(p *corev1.Pod) []sample {
	given := map[string]bool{p.Status.Reason: true}
	for _, c := range p.Status.Conditions {
		given[c.Reason] = true
	}
	for _, c := range p.Status.ContainerStatuses {
		if t := c.State.Terminated; t != nil {
			given[t.Reason] = true
		}
	}
	var samples []sample
	other := p.Status.Reason != ""
	for _, reason := range []string{
		"Evicted", "NodeAffinity", "NodeLost", "PreemptionByScheduler", "SchedulingGated", "Shutdown", "TerminationByKubelet", "UnexpectedAdmissionError",
	} {
		other = other && reason != p.Status.Reason
		if given[reason] {
			samples = append(samples, is(reason)...)
		}
	}
	if other {
		samples = append(samples, is("Other")...)
	}
	return samples
}
