package metrics

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
)

// Snapshot is what metrics are read from. Nothing in it changes once it is
// handed out.
type Snapshot struct {
	// Pods as people see them, status included.
	Pods []*corev1.Pod
	// Restarts of their containers, by container and reason.
	Restarts map[types.UID]map[string]map[string]int
	// Static are those that come from the manifests directory.
	Static map[types.UID]bool
	// Node is nil until the host was looked at.
	Node       *corev1.Node
	Namespaces []*corev1.Namespace
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
	Claims     []*corev1.PersistentVolumeClaim
	// Manifests counts the files of the manifests directory by state; nil when
	// there is none.
	Manifests map[string]int
	Load      agent.Load
	// Reconnects are those to containerd.
	Reconnects int64
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
			"podd_container_restarts_total", "How often a container was restarted, by the reason for which it had ended. podd's own restart leaves it as it is.",
			counter, []string{"namespace", "pod", "container", "reason"}, restarts,
		},
		{
			"podd_containers_waiting", "How many containers wait to run, by what they wait for: the back-offs are always told of.",
			gauge, []string{"reason"}, waiting,
		},
		{
			"podd_actions_running", "How many actions are under way, by what bounds them: 4 of container, 8 of exec; pull waits for its turn by itself, light never.",
			gauge, []string{"queue"}, func(s Snapshot) []sample { return queues(s, func(q agent.Queue) int64 { return q.Running }) },
		},
		{
			"podd_actions_waiting", "How many actions wait for their turn.",
			gauge, []string{"queue"}, func(s Snapshot) []sample { return queues(s, func(q agent.Queue) int64 { return q.Waiting }) },
		},
		{
			"podd_watches", "How many watches of objects are open.",
			gauge, nil, func(s Snapshot) []sample { return []sample{{nil, float64(s.Load.Watches)}} },
		},
		{
			"podd_watch_changes_waiting", "How many changes of objects wait for their readers.",
			gauge, nil, func(s Snapshot) []sample { return []sample{{nil, float64(s.Load.Unread)}} },
		},
		{
			"podd_containerd_reconnects_total", "How often containerd's stream of events broke off and was begun anew.",
			counter, nil, func(s Snapshot) []sample { return []sample{{nil, float64(s.Reconnects)}} },
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

// restarts has every reason, so that the first restart is an increase.
func restarts(s Snapshot) []sample {
	var samples []sample
	for _, p := range s.Pods {
		for _, c := range statuses(p) {
			for _, reason := range pod.ExitReasons() {
				samples = append(samples, sample{[]string{p.Namespace, p.Name, c.Name, reason}, float64(s.Restarts[p.UID][c.Name][reason])})
			}
		}
	}
	return samples
}

func waiting(s Snapshot) []sample {
	count := map[string]int{"CrashLoopBackOff": 0, "ImagePullBackOff": 0}
	for _, p := range s.Pods {
		for _, c := range statuses(p) {
			if w := c.State.Waiting; w != nil {
				count[w.Reason]++
			}
		}
	}
	samples := make([]sample, 0, len(count))
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		samples = append(samples, sample{[]string{reason}, float64(count[reason])})
	}
	return samples
}

func queues(s Snapshot, value func(agent.Queue) int64) []sample {
	samples := make([]sample, 0, len(s.Load.Actions))
	for _, name := range slices.Sorted(maps.Keys(s.Load.Actions)) {
		samples = append(samples, sample{[]string{name}, float64(value(s.Load.Actions[name]))})
	}
	return samples
}
