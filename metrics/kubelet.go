package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
)

// kubelet counts what a kubelet counts, by its names, labels and buckets, as far
// as podd does the same thing. Source: pkg/kubelet/metrics/metrics.go of
// Kubernetes 1.37; what podd's work corresponds to is in docs/metrics.md.
type kubelet struct {
	operations        *prometheus.CounterVec
	operationErrors   *prometheus.CounterVec
	operationDuration *prometheus.HistogramVec
	sandboxDuration   *prometheus.HistogramVec
	sandboxErrors     *prometheus.CounterVec
	cgroups           *prometheus.HistogramVec
	storage           *prometheus.HistogramVec
	started           *prometheus.CounterVec
	startErrors       *prometheus.CounterVec
	pods              prometheus.Counter
	podErrors         prometheus.Counter

	worker                        *prometheus.HistogramVec
	relist, podRelist, relistWait prometheus.Histogram
	seen                          prometheus.Gauge
}

func newKubelet() *kubelet {
	operation := []string{"operation_type"}
	k := &kubelet{
		operations: count("kubelet_runtime_operations_total", "How many operations of a container runtime were asked for, by type.", operation...),
		operationErrors: count("kubelet_runtime_operations_errors_total",
			"How many operations of a container runtime failed, by type.", operation...),
		operationDuration: spread("kubelet_runtime_operations_duration_seconds",
			"How long operations of a container runtime took, by type.", prometheus.ExponentialBuckets(.005, 2.5, 14), operation...),
		sandboxDuration: spread("kubelet_run_podsandbox_duration_seconds",
			"How long it took to make and start sandboxes, by the handler of the pods' RuntimeClass.", prometheus.DefBuckets, "runtime_handler"),
		sandboxErrors: count("kubelet_run_podsandbox_errors_total",
			"How many sandboxes could not be made or started, by the handler of the pods' RuntimeClass.", "runtime_handler"),
		cgroups: spread("kubelet_cgroup_manager_duration_seconds", "How long it took to make and remove pods' cgroups.", prometheus.DefBuckets, operation...),
		storage: spread("storage_operation_duration_seconds", "How long it took to make volumes ready, tries that failed included.",
			[]float64{.1, .25, .5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600}, "volume_plugin", "operation_name", "status", "migrated"),
		started:     count("kubelet_started_containers_total", "How many containers were to be started, sandboxes among them.", "container_type"),
		startErrors: count("kubelet_started_containers_errors_total", "How many containers could not be made or started, sandboxes among them.", "container_type", "code"),
		pods:        prometheus.NewCounter(prometheus.CounterOpts{Name: "kubelet_started_pods_total", Help: "How many sandboxes of pods were to be started."}),
		podErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kubelet_started_pods_errors_total", Help: "How many sandboxes of pods could not be made or started.",
		}),
		worker: spread("kubelet_pod_worker_duration_seconds",
			"How long pods' workers took for one round of looking, deciding and storing.", prometheus.DefBuckets, operation...),
		seen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kubelet_pleg_last_seen_seconds", Help: "When a pod was last looked at, in seconds since 1970.",
		}),
	}
	k.relist = histogram("kubelet_pleg_relist_duration_seconds", "How long it took to look at what there is of a pod: podd looks at each by itself.")
	k.podRelist = histogram("kubelet_pleg_pod_relist_duration_seconds", "How long it took to look at what there is of a pod.")
	k.relistWait = histogram("kubelet_pleg_relist_interval_seconds", "How long after the look before a pod was looked at again.")
	return k
}

func count(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func spread(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.DefBuckets})
}

func (k *kubelet) all() []prometheus.Collector {
	return []prometheus.Collector{
		k.operations, k.operationErrors, k.operationDuration, k.sandboxDuration, k.sandboxErrors, k.cgroups, k.storage,
		k.started, k.startErrors, k.pods, k.podErrors, k.worker, k.relist, k.podRelist, k.relistWait, k.seen,
	}
}

// operationOf is what a kubelet asks its runtime for at this point; empty where
// it asks for nothing.
func operationOf(a pod.Action) string {
	switch a.Kind { //nolint:exhaustive // for the others a kubelet asks nobody
	case pod.CreateSandbox:
		return "run_podsandbox"
	case pod.RemoveSandbox:
		return "remove_podsandbox"
	case pod.CreateContainer:
		return "create_container"
	case pod.StartContainer:
		return "start_container"
	case pod.SignalContainer:
		return "stop_container"
	case pod.RemoveContainer:
		return "remove_container"
	case pod.PullImage:
		return "pull_image"
	case pod.RunProbe:
		if a.Probe.Handler.Exec != nil {
			return "exec_sync"
		}
	case pod.RunHook:
		if a.Hook.Handler.Exec != nil {
			return "exec_sync"
		}
	}
	return ""
}

func (k *kubelet) acted(r pod.Result, took time.Duration) {
	if op := operationOf(r.Action); op != "" {
		k.operations.WithLabelValues(op).Inc()
		k.operationDuration.WithLabelValues(op).Observe(took.Seconds())
		failed := k.operationErrors.WithLabelValues(op) // there from the first one on, at 0
		if r.Err != nil {
			failed.Inc()
		}
	}
	switch a := r.Action; a.Kind { //nolint:exhaustive // no more is counted of the others
	case pod.CreateCgroup:
		k.cgroups.WithLabelValues("create").Observe(took.Seconds())
	case pod.RemoveCgroup:
		k.cgroups.WithLabelValues("destroy").Observe(took.Seconds())
	case pod.SetupVolume:
		k.volume(a.Volume.Volume, r.Err, took)
	case pod.CreateSandbox:
		k.sandbox(a.Sandbox.Pod, r.Err, took)
	case pod.CreateContainer:
		k.container(a.Container, r.Err, 0)
	case pod.StartContainer:
		k.container(a.Container, r.Err, 1)
	}
}

// sandbox counts one that was to be started. A pod's start is its sandbox's.
func (k *kubelet) sandbox(p *corev1.Pod, failed *pod.Failure, took time.Duration) {
	handler := ""
	if p.Spec.RuntimeClassName != nil {
		handler = *p.Spec.RuntimeClassName
	}
	k.pods.Inc()
	k.started.WithLabelValues("pod_sandbox").Inc()
	k.sandboxDuration.WithLabelValues(handler).Observe(took.Seconds())
	if failed != nil {
		k.podErrors.Inc()
		k.sandboxErrors.WithLabelValues(handler).Inc()
		k.startErrors.WithLabelValues("pod_sandbox", failed.Reason).Inc()
	}
}

func (k *kubelet) container(cfg *pod.ContainerConfig, failed *pod.Failure, started float64) {
	kind := "container"
	for i := range cfg.Pod.Spec.InitContainers {
		if cfg.Pod.Spec.InitContainers[i].Name == cfg.Container.Name {
			kind = "init_container"
		}
	}
	for i := range cfg.Pod.Spec.EphemeralContainers {
		if cfg.Pod.Spec.EphemeralContainers[i].Name == cfg.Container.Name {
			kind = "ephemeral_container"
		}
	}
	k.started.WithLabelValues(kind).Add(started)
	if failed != nil {
		k.startErrors.WithLabelValues(kind, failed.Reason).Inc()
	}
}

func (k *kubelet) volume(v corev1.Volume, failed *pod.Failure, took time.Duration) {
	status := "success"
	if failed != nil {
		status = "fail-unknown"
	}
	k.storage.WithLabelValues(pluginOf(v), "volume_mount", status, "false").Observe(took.Seconds())
}

// pluginOf is the name of what makes a volume in a kubelet.
func pluginOf(v corev1.Volume) string {
	switch {
	case v.EmptyDir != nil:
		return "kubernetes.io/empty-dir"
	case v.HostPath != nil:
		return "kubernetes.io/host-path"
	case v.ConfigMap != nil:
		return "kubernetes.io/configmap"
	case v.Secret != nil:
		return "kubernetes.io/secret"
	case v.DownwardAPI != nil:
		return "kubernetes.io/downward-api"
	case v.Projected != nil:
		return "kubernetes.io/projected"
	case v.Image != nil:
		return "kubernetes.io/image"
	case v.PersistentVolumeClaim != nil, v.Ephemeral != nil:
		return "kubernetes.io/local-volume"
	}
	return "other"
}

func (k *kubelet) looked(l agent.Look) {
	kind := "sync"
	switch {
	case l.Ending:
		kind = "terminating"
	case l.Since == 0:
		kind = "create"
	}
	k.worker.WithLabelValues(kind).Observe(l.Took.Seconds())
	k.relist.Observe(l.Observing.Seconds())
	k.podRelist.Observe(l.Observing.Seconds())
	if l.Since > 0 {
		k.relistWait.Observe(l.Since.Seconds())
	}
	k.seen.SetToCurrentTime()
}
