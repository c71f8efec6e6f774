package metrics

import (
	dto "github.com/prometheus/client_model/go"

	"github.com/podd-io/podd/pod"
)

// tellResource writes what a kubelet has at /metrics/resource. Source:
// k8s.io/kubernetes/pkg/kubelet/metrics/collectors/resource_metrics.go.
func tellResource(e *exposition, u pod.Usage, failed bool) {
	containers, pods := owners(u)
	var node []resourceOwner
	if !u.Node.Time.IsZero() {
		node = append(node, resourceOwner{group: &u.Node.CgroupUsage})
	}
	for _, m := range resourceMetrics {
		for _, level := range []struct {
			prefix, what string
			owners       []resourceOwner
		}{{"container", "container", containers}, {"pod", "pod", pods}, {"node", "node", node}} {
			if level.prefix != "container" && m.containersOnly {
				continue
			}
			e.metric(level.prefix+m.suffix, m.help[0]+level.what+m.help[1], m.kind)
			for _, o := range level.owners {
				if v, ok := m.value(o); ok {
					e.sample(v, o.labels, "")
				}
			}
		}
	}
	e.metric("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", gauge)
	e.sample(truth(failed), "", "")
	e.metric("scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", gauge)
	e.sample(truth(failed), "", "")
}

// resourceOwner is whose usage is told.
type resourceOwner struct {
	labels    string
	group     *pod.CgroupUsage
	container *pod.ContainerUsage // nil for others
}

func owners(u pod.Usage) (containers, pods []resourceOwner) {
	for i := range u.Pods {
		p := &u.Pods[i]
		labels := label("namespace", p.Pod.Namespace, "pod", p.Pod.Name)
		pods = append(pods, resourceOwner{labels: labels, group: &p.CgroupUsage})
		for j := range p.Containers {
			c := &p.Containers[j]
			containers = append(containers, resourceOwner{label("container", c.Name) + "," + labels, &c.CgroupUsage, c})
		}
	}
	return containers, pods
}

// resourceMetrics are told of containers, pods and the node alike.
var resourceMetrics = []struct {
	suffix string
	help   [2]string // whose comes between
	kind   dto.MetricType
	// containersOnly: pods and the node don't have it.
	containersOnly bool
	value          func(resourceOwner) (v float64, ok bool)
}{
	{"_cpu_usage_seconds_total", [2]string{"Cumulative cpu time consumed by the ", " in core-seconds"}, counter, false,
		func(o resourceOwner) (float64, bool) { return seconds(o.group.CPU.Total), true }},
	{"_memory_working_set_bytes", [2]string{"Current working set of the ", " in bytes"}, gauge, false,
		func(o resourceOwner) (float64, bool) { return float64(o.group.Memory.WorkingSet), true }},
	{"_swap_usage_bytes", [2]string{"Current amount of the ", " swap usage in bytes. Reported only on non-windows systems"}, gauge, false,
		func(o resourceOwner) (float64, bool) { return float64(o.group.Memory.Swap), true }},
	{"_swap_limit_bytes", [2]string{"Current amount of the ", " swap limit in bytes. Reported only on non-windows systems"}, gauge, true,
		func(o resourceOwner) (float64, bool) {
			return float64(o.group.Memory.SwapLimit), o.group.Memory.SwapLimit > 0 || o.group.Memory.NoSwap
		}},
	{"_start_time_seconds", [2]string{"Start time of the ", " since unix epoch in seconds"}, gauge, true,
		func(o resourceOwner) (float64, bool) {
			return since1970(o.container.Started), !o.container.Started.IsZero()
		}},
}
