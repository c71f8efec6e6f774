package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
)

// Meter counts what the agent tells of, for podd's own metrics and a kubelet's.
// It implements agent.Meter.
type Meter struct {
	actions *Actions
	pulls   *pulls
	probes  *probes
	kubelet *kubelet
	starts  *starts
}

// NewMeter counts from zero.
func NewMeter() *Meter {
	return &Meter{actions: NewActions(), pulls: newPulls(), probes: newProbes(), kubelet: newKubelet(), starts: newStarts()}
}

// Acted implements agent.Meter.
func (m *Meter) Acted(key pod.Key, r pod.Result) {
	took := r.Finished.Sub(r.Started)
	m.actions.Done(string(r.Action.Kind), took, r.Err != nil)
	m.kubelet.acted(r, took)
	switch r.Action.Kind { //nolint:exhaustive // the others have nothing more to tell
	case pod.PullImage:
		m.pulls.done(r)
	case pod.RunProbe:
		m.probes.done(key, r, took)
	}
}

// Looked implements agent.Meter.
func (m *Meter) Looked(l agent.Look) { m.kubelet.looked(l) }

// Came implements agent.Meter.
func (m *Meter) Came(to agent.Milestone, took time.Duration) { m.starts.done(to, took) }

// Left implements agent.Meter.
func (m *Meter) Left(key pod.Key) { m.probes.forget(key) }

// parts are all but the probes of single containers.
func (m *Meter) parts() []part {
	return []part{
		registered("actions", m.actions),
		registered("starts", m.starts.all()...),
		registered("pulls", m.pulls.all()...),
		registered("kubelet", m.kubelet.all()...),
		registered("probes", m.probes.total),
	}
}

// starts counts how long pods took to come up.
type starts struct {
	duration       *prometheus.HistogramVec
	kubelet, total prometheus.Histogram
}

func newStarts() *starts {
	kubelet := []float64{.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600}
	s := &starts{
		duration: spread("podd_pod_start_duration_seconds",
			"How long pods took from their submission until all their containers were started (running), and until they were ready. Pulls are part of it.",
			[]float64{.05, .1, .15, .2, .3, .5, .75, 1, 2, 3, 5, 10, 30, 60, 120, 300, 600, 1800}, "to"),
		kubelet: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kubelet_pod_start_duration_seconds", Help: "How long pods took from when they were first seen until they ran.", Buckets: kubelet,
		}),
		total: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kubelet_pod_start_total_duration_seconds", Help: "How long pods took from when they were created until they ran, pulls and init containers included.", Buckets: kubelet,
		}),
	}
	s.duration.WithLabelValues(string(agent.Running))
	s.duration.WithLabelValues(string(agent.Ready))
	return s
}

func (s *starts) all() []prometheus.Collector {
	return []prometheus.Collector{s.duration, s.kubelet, s.total}
}

func (s *starts) done(to agent.Milestone, took time.Duration) {
	s.duration.WithLabelValues(string(to)).Observe(took.Seconds())
	if to == agent.Running {
		s.kubelet.Observe(took.Seconds())
		s.total.Observe(took.Seconds())
	}
}

// pulls counts images that were fetched.
type pulls struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    prometheus.Counter
	kubelet  *prometheus.HistogramVec
}

func newPulls() *pulls {
	p := &pulls{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podd_image_pulls_total", Help: "How many pulls of images have succeeded or failed, tries again included.",
		}, []string{"result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "podd_image_pull_duration_seconds", Help: "How long the transfer of images that were pulled took, without waiting for its turn.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800},
		}, nil),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "podd_image_pulled_bytes_total", Help: "How big the images were that were pulled, compressed.",
		}),
		kubelet: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kubelet_image_pull_duration_seconds", Help: "How long pulls took, by the size of the image, as a kubelet counts them.",
			Buckets: []float64{1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600},
		}, []string{"image_size_in_bytes"}),
	}
	for _, result := range []string{"succeeded", "failed"} {
		p.total.WithLabelValues(result)
	}
	return p
}

func (p *pulls) all() []prometheus.Collector {
	return []prometheus.Collector{p.total, p.duration, p.bytes, p.kubelet}
}

func (p *pulls) done(r pod.Result) {
	if r.Err != nil || r.Pulled == nil {
		p.total.WithLabelValues("failed").Inc()
		return
	}
	p.total.WithLabelValues("succeeded").Inc()
	p.duration.WithLabelValues().Observe(r.Pulled.Took.Seconds())
	p.bytes.Add(float64(r.Pulled.Size))
	p.kubelet.WithLabelValues(sizeClass(r.Pulled.Size)).Observe(r.Pulled.Took.Seconds())
}

// sizeClass is a kubelet's word for how big an image is.
func sizeClass(size int64) string {
	const mb, gb = 1 << 20, 1 << 30
	for _, class := range []struct {
		below int64
		name  string
	}{
		{10 * mb, "0-10MB"}, {100 * mb, "10MB-100MB"}, {500 * mb, "100MB-500MB"}, {gb, "500MB-1GB"}, {5 * gb, "1GB-5GB"},
		{10 * gb, "5GB-10GB"}, {20 * gb, "10GB-20GB"}, {30 * gb, "20GB-30GB"}, {40 * gb, "30GB-40GB"}, {60 * gb, "40GB-60GB"}, {100 * gb, "60GB-100GB"},
	} {
		if size < class.below {
			return class.name
		}
	}
	return "GT100GB"
}

// probes counts the outcomes of probes.
type probes struct {
	// total is podd's own: of all containers together.
	total *prometheus.CounterVec
	// results and duration are a kubelet's: of every container.
	results  *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newProbes() *probes {
	p := &probes{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podd_probes_total", Help: "How many probes have succeeded, failed, or could not be run (unknown), of all containers.",
		}, []string{"probe_type", "result"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prober_probe_total", Help: "How many probes of a container have succeeded, failed, or could not be run (unknown).",
		}, []string{"probe_type", "result", "container", "pod", "namespace", "pod_uid"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "prober_probe_duration_seconds", Help: "How long successful probes of a container took.",
			Buckets: prometheus.DefBuckets,
		}, []string{"probe_type", "container", "pod", "namespace"}),
	}
	for _, kind := range []string{"Startup", "Liveness", "Readiness"} {
		for _, result := range []string{"successful", "failed", "unknown"} {
			p.total.WithLabelValues(kind, result)
		}
	}
	return p
}

// done counts one outcome. Like a kubelet's, the durations are those of probes
// that did not fail.
func (p *probes) done(key pod.Key, r pod.Result, took time.Duration) {
	kind, result := probeType(r.Action.Probe.Kind), probeResult(r.Probe)
	container := r.Action.Probe.Container
	p.total.WithLabelValues(kind, result).Inc()
	p.results.WithLabelValues(kind, result, container, key.Name, key.Namespace, string(key.UID)).Inc()
	if result != "failed" {
		p.duration.WithLabelValues(kind, container, key.Name, key.Namespace).Observe(took.Seconds())
	}
}

// forget drops the series of a pod that is gone. Of the durations, which are by
// name alone, a pod that takes its place begins anew as well.
func (p *probes) forget(key pod.Key) {
	p.results.DeletePartialMatch(prometheus.Labels{"pod_uid": string(key.UID)})
	p.duration.DeletePartialMatch(prometheus.Labels{"pod": key.Name, "namespace": key.Namespace})
}

func probeType(k pod.ProbeKind) string {
	switch k {
	case pod.Startup:
		return "Startup"
	case pod.Liveness:
		return "Liveness"
	case pod.Readiness:
	}
	return "Readiness"
}

func probeResult(o *pod.ProbeOutcome) string {
	switch {
	case o == nil:
		return "unknown"
	case o.Healthy:
		return "successful"
	}
	return "failed"
}
