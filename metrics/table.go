package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// Snapshot is what metrics are read from. Nothing in it changes once it is
// handed out.
type Snapshot struct {
	// Pods as people see them, status included.
	Pods []*corev1.Pod
	// Manifests counts the files of the manifests directory by state; nil when
	// there is none.
	Manifests map[string]int
}

// Build says which podd this is.
type Build struct {
	Version, Commit, GoVersion, KubernetesVersion string
}

// metric is one line of the table: everything there is to know about a metric
// that is computed when it is asked for.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	// values are what the metric is now, one sample per set of label values.
	values func(Snapshot) []sample
}

// sample is a value with its label values, in the order of the table's labels.
type sample struct {
	labels []string
	value  float64
}

// table is every metric computed from a snapshot.
func table(build Build, started time.Time) []metric {
	return []metric{
		{
			"podd_build_info", "Which podd this is; always 1.",
			prometheus.GaugeValue,
			[]string{"version", "commit", "goversion", "kubernetes"},
			func(Snapshot) []sample {
				return []sample{{[]string{build.Version, build.Commit, build.GoVersion, build.KubernetesVersion}, 1}}
			},
		},
		{
			"podd_start_time_seconds", "When this podd started, in seconds since 1970.",
			prometheus.GaugeValue, nil,
			func(Snapshot) []sample { return []sample{{nil, float64(started.UnixMilli()) / 1000}} },
		},
		{
			"podd_pods", "How many pods are in a phase.",
			prometheus.GaugeValue, []string{"phase"}, podsByPhase,
		},
		{
			"podd_manifests", "How many files of the manifests directory are applied, can't be used (broken), or wait for a writer or an old pod (waiting).",
			prometheus.GaugeValue, []string{"state"}, manifests,
		},
		{
			"podd_container_restarts_total", "How often a container was restarted.",
			prometheus.CounterValue, []string{"namespace", "pod", "container"}, restarts,
		},
	}
}

func manifests(s Snapshot) []sample {
	samples := make([]sample, 0, len(s.Manifests))
	for state, n := range s.Manifests {
		samples = append(samples, sample{[]string{state}, float64(n)})
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

// collector reads the table when it is scraped.
type collector struct {
	rows     []metric
	descs    []*prometheus.Desc // of rows, in order
	snapshot func() Snapshot
}

func newCollector(rows []metric, snapshot func() Snapshot) *collector {
	c := &collector{rows: rows, snapshot: snapshot}
	for _, m := range rows {
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector. All of one scrape is of one snapshot.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	snapshot := c.snapshot()
	for i, m := range c.rows {
		for _, s := range m.values(snapshot) {
			out <- prometheus.MustNewConstMetric(c.descs[i], m.kind, s.value, s.labels...)
		}
	}
}
