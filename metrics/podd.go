package metrics

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Snapshot is what metrics are read from. Nothing in it changes once it is
// handed out.
type Snapshot struct {
	// Pods as people see them, status included.
	Pods []*corev1.Pod
	// Node is nil until the host was looked at.
	Node       *corev1.Node
	Namespaces []*corev1.Namespace
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
	Claims     []*corev1.PersistentVolumeClaim
	// Manifests counts the files of the manifests directory by state; nil when
	// there is none.
	Manifests map[string]int
}

// Build says which podd this is.
type Build struct {
	Version, Commit, GoVersion, KubernetesVersion string
}

// podd is every metric of podd's own that is computed from a snapshot.
func podd(build Build, started time.Time) []metric[Snapshot] {
	return []metric[Snapshot]{
		{
			"podd_build_info", "Which podd this is; always 1.",
			gauge,
			[]string{"version", "commit", "goversion", "kubernetes"},
			func(Snapshot) []sample {
				return []sample{{[]string{build.Version, build.Commit, build.GoVersion, build.KubernetesVersion}, 1}}
			},
		},
		{
			"podd_start_time_seconds", "When this podd started, in seconds since 1970.",
			gauge, nil,
			func(Snapshot) []sample { return []sample{{nil, float64(started.UnixMilli()) / 1000}} },
		},
		{
			"podd_pods", "How many pods are in a phase.",
			gauge, []string{"phase"}, podsByPhase,
		},
		{
			"podd_manifests", "How many files of the manifests directory are applied, can't be used (broken), or wait for a writer or an old pod (waiting).",
			gauge, []string{"state"}, manifests,
		},
		{
			"podd_container_restarts_total", "How often a container was restarted.",
			counter, []string{"namespace", "pod", "container"}, restarts,
		},
	}
}

func manifests(s Snapshot) []sample {
	samples := make([]sample, 0, len(s.Manifests))
	for _, state := range slices.Sorted(maps.Keys(s.Manifests)) {
		samples = append(samples, sample{[]string{state}, float64(s.Manifests[state])})
	}
	return samples
}

// podsByPhase has every phase, so that a series does not vanish with its pods.
func podsByPhase(s Snapshot) []sample {
	phases := []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown}
	count := map[corev1.PodPhase]int{}
	for _, p := range s.Pods {
		phase := p.Status.Phase
		if phase == "" {
			phase = corev1.PodPending // not looked at yet
		}
		count[phase]++
	}
	samples := make([]sample, 0, len(phases))
	for _, phase := range phases {
		samples = append(samples, sample{[]string{string(phase)}, float64(count[phase])})
	}
	return samples
}

func restarts(s Snapshot) []sample {
	var samples []sample
	for _, p := range s.Pods {
		for _, list := range [][]corev1.ContainerStatus{
			p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses,
		} {
			for _, c := range list {
				samples = append(samples, sample{[]string{p.Namespace, p.Name, c.Name}, float64(c.RestartCount)})
			}
		}
	}
	return samples
}
