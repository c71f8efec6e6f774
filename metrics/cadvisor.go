package metrics

import (
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/podd-io/podd/pod"
)

// tellCadvisor writes what a kubelet has at /metrics/cadvisor, from what it asks
// cAdvisor for. Source: github.com/google/cadvisor/lib/metrics/prometheus.go and
// prometheus_machine.go.
func tellCadvisor(e *exposition, u pod.Usage, failed bool) {
	rows := cadvisorRows(u)
	for _, m := range cadvisorMetrics() {
		e.metric(m.name, m.help, m.kind)
		for i := range rows {
			if m.one == nil {
				m.many(&rows[i], func(v float64, labels string) { e.sample(v, rows[i].labels, labels) })
			} else if v, ok := m.one(&rows[i]); ok {
				e.sample(v, rows[i].labels, "")
			}
		}
	}
	e.metric("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", gauge)
	e.sample(truth(failed), "", "")
	if len(rows) > 0 {
		tellMachine(e, u.Node.Machine)
	}
}

// row is one cgroup: the root, podd's own, a pod's, a pause container's or a
// container's.
type row struct {
	labels  string
	group   *pod.CgroupUsage
	started time.Time
	layer   *pod.DiskUsage
	network []pod.InterfaceUsage
}

// cadvisorRows are in the order of cgroups: what is above comes first. The pause
// container has container="POD", as by CRI-O: that tells it from its pod.
func cadvisorRows(u pod.Usage) []row {
	if u.Node.Time.IsZero() {
		return nil // nothing was read
	}
	rows := []row{{labels: cadvisorLabels("", "/", "", "", nil), group: &u.Node.CgroupUsage, started: u.Node.Booted, layer: u.Node.Root, network: u.Node.Network}}
	if u.Node.Pods != nil {
		rows = append(rows, row{labels: cadvisorLabels("", u.Node.Pods.Path, "", "", nil), group: u.Node.Pods})
	}
	for i := range u.Pods {
		p := &u.Pods[i]
		r := row{labels: cadvisorLabels("", p.Path, "", "", p), group: &p.CgroupUsage}
		if p.Pod.Status.StartTime != nil {
			r.started = p.Pod.Status.StartTime.Time
		}
		rows = append(rows, r)
		if p.Sandbox != nil {
			r := containerRow(p, p.Sandbox)
			r.network = p.Network
			rows = append(rows, r)
		}
		for j := range p.Containers {
			rows = append(rows, containerRow(p, &p.Containers[j]))
		}
	}
	return rows
}

func containerRow(p *pod.PodUsage, c *pod.ContainerUsage) row {
	return row{labels: cadvisorLabels(c.Name, c.Path, c.Image, c.ID, p), group: &c.CgroupUsage, started: c.Started, layer: c.Layer}
}

func cadvisorLabels(container, cgroup, image, name string, p *pod.PodUsage) string {
	namespace, podName := "", ""
	if p != nil {
		namespace, podName = p.Pod.Namespace, p.Pod.Name
	}
	return label("container", container, "id", cgroup, "image", image, "name", name, "namespace", namespace, "pod", podName)
}

// cadvisorMetric has either one sample a row, or many with labels of their own.
type cadvisorMetric struct {
	name, help string
	kind       dto.MetricType
	one        func(*row) (v float64, ok bool)
	many       func(r *row, tell func(v float64, labels string))
}

// always is for what every row has.
func always(value func(*row) float64) func(*row) (float64, bool) {
	return func(r *row) (float64, bool) { return value(r), true }
}

// cadvisorMetrics are all, in cAdvisor's order.
func cadvisorMetrics() []cadvisorMetric {
	var all []cadvisorMetric
	for _, part := range [][]cadvisorMetric{lifeMetrics, cpuMetrics, memoryMetrics, diskMetrics, networkMetrics, processMetrics, pressureMetrics} {
		all = append(all, part...)
	}
	return all
}

var lifeMetrics = []cadvisorMetric{
	{"container_last_seen", "Last time a container was seen by the exporter", gauge,
		always(func(r *row) float64 { return float64(r.group.Time.Unix()) }), nil},
	{"container_health_state", "The result of the container's health check", gauge,
		always(func(*row) float64 { return -1 }), nil}, // of Docker's kind, which pods have none of
	{"container_start_time_seconds", "Start time of the container since unix epoch in seconds.", gauge,
		func(r *row) (float64, bool) { return float64(r.started.Unix()), !r.started.IsZero() }, nil},
	{"container_oom_events_total", "Count of out of memory events observed for the container", counter,
		always(func(r *row) float64 { return float64(r.group.OOMKills) }), nil},
}

// quota is for what only those who have one are told of.
func quota(value func(pod.CPUUsage) float64) func(*row) (float64, bool) {
	return func(r *row) (float64, bool) { return value(r.group.CPU), r.group.CPU.Quota != 0 }
}

const total = `cpu="total"`

var cpuMetrics = []cadvisorMetric{
	{"container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", counter,
		always(func(r *row) float64 { return seconds(r.group.CPU.User) }), nil},
	{"container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", counter,
		always(func(r *row) float64 { return seconds(r.group.CPU.System) }), nil},
	{"container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", counter, nil,
		func(r *row, tell func(float64, string)) { tell(seconds(r.group.CPU.Total), total) }},
	{"container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", counter,
		quota(func(c pod.CPUUsage) float64 { return float64(c.Periods) }), nil},
	{"container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", counter,
		quota(func(c pod.CPUUsage) float64 { return float64(c.Throttled) }), nil},
	{"container_cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.", counter,
		quota(func(c pod.CPUUsage) float64 { return seconds(c.ThrottledTime) }), nil},
	{"container_cpu_cfs_burst_periods_total", "Number of periods when burst occurs.", counter,
		quota(func(c pod.CPUUsage) float64 { return float64(c.Bursts) }), nil},
	{"container_cpu_cfs_burst_seconds_total", "Total time duration the container has been bursted.", counter,
		quota(func(c pod.CPUUsage) float64 { return seconds(c.BurstTime) }), nil},
	{"container_spec_cpu_period", "CPU period of the container.", gauge,
		always(func(r *row) float64 { return float64(r.group.CPU.Period.Microseconds()) }), nil},
	{"container_spec_cpu_quota", "CPU quota of the container.", gauge,
		quota(func(c pod.CPUUsage) float64 { return float64(c.Quota.Microseconds()) }), nil},
	{"container_spec_cpu_shares", "CPU share of the container.", gauge,
		always(func(r *row) float64 { return float64(r.group.CPU.Shares) }), nil},
}

func bytesOf(value func(pod.MemoryUsage) uint64) func(*row) (float64, bool) {
	return func(r *row) (float64, bool) { return float64(value(r.group.Memory)), true }
}

var memoryMetrics = []cadvisorMetric{
	{"container_memory_cache", "Number of bytes of page cache memory.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Cache }), nil},
	{"container_memory_rss", "Size of RSS in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.RSS }), nil},
	{"container_memory_kernel_usage", "Size of kernel memory allocated in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Kernel }), nil},
	{"container_memory_mapped_file", "Size of memory mapped files in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Mapped }), nil},
	{"container_memory_swap", "Container swap usage in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Swap }), nil},
	{"container_memory_failcnt", "Number of memory usage hits limits", counter, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Failures }), nil},
	{"container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed", gauge,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Usage }), nil},
	{"container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Max }), nil},
	{"container_memory_working_set_bytes", "Current working set in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.WorkingSet }), nil},
	{"container_memory_total_active_file_bytes", "Current total active file in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.ActiveFile }), nil},
	{"container_memory_total_inactive_file_bytes", "Current total inactive file in bytes.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.InactiveFile }), nil},
	{"container_memory_failures_total", "Cumulative count of memory allocation failures.", counter, nil, memoryFailures},
	{"container_memory_events_high_total", "Cumulative count of memory.high throttle events for the container", counter,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.High }), nil},
	{"container_memory_events_max_total", "Cumulative count of memory.max limit hit events for the container", counter,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Failures }), nil},
	{"container_memory_file_dirty_bytes", "Number of bytes of file cache that has been modified but not yet written back to disk.", gauge,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Dirty }), nil},
	{"container_memory_file_writeback_bytes", "Number of bytes of file cache that is currently being written back to disk.", gauge,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Writeback }), nil},
	{"container_memory_pgscan_total", "Cumulative number of pages scanned by the page reclaim algorithm.", counter,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Scanned }), nil},
	{"container_memory_pgsteal_total", "Cumulative number of pages reclaimed by the page reclaim algorithm.", counter,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Reclaimed }), nil},
	{"container_memory_workingset_refault_file_total", "Cumulative number of refaults of previously evicted file pages.", counter,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.RefaultedFile }), nil},
	{"container_memory_workingset_refault_anon_total", "Cumulative number of refaults of previously evicted anonymous pages.", counter,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.RefaultedAnon }), nil},
	{"container_spec_memory_limit_bytes", "Memory limit for the container.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.Limit }), nil},
	{"container_spec_memory_swap_limit_bytes", "Memory swap limit for the container.", gauge, bytesOf(func(m pod.MemoryUsage) uint64 { return m.SwapLimit }), nil},
	{"container_spec_memory_reservation_limit_bytes", "Memory reservation limit for the container.", gauge,
		bytesOf(func(m pod.MemoryUsage) uint64 { return m.Reservation }), nil},
}

// memoryFailures: cAdvisor gives both scopes the same number.
func memoryFailures(r *row, tell func(float64, string)) {
	m := r.group.Memory
	tell(float64(m.Faults), `failure_type="pgfault",scope="container"`)
	tell(float64(m.MajorFaults), `failure_type="pgmajfault",scope="container"`)
	tell(float64(m.Faults), `failure_type="pgfault",scope="hierarchy"`)
	tell(float64(m.MajorFaults), `failure_type="pgmajfault",scope="hierarchy"`)
}

// layer is for what the file system tells that a container writes to.
func layer(value func(*pod.DiskUsage) uint64) func(*row, func(float64, string)) {
	return func(r *row, tell func(float64, string)) {
		if r.layer != nil {
			tell(float64(value(r.layer)), label("device", r.layer.Device))
		}
	}
}

func device(value func(pod.IOUsage) uint64) func(*row, func(float64, string)) {
	return func(r *row, tell func(float64, string)) {
		for _, d := range r.group.IO {
			tell(float64(value(d)), label("device", d.Device))
		}
	}
}

var diskMetrics = []cadvisorMetric{
	{"container_fs_inodes_free", "Number of available Inodes", gauge, nil, layer(func(d *pod.DiskUsage) uint64 { return d.InodesFree })},
	{"container_fs_inodes_total", "Number of Inodes", gauge, nil, layer(func(d *pod.DiskUsage) uint64 { return d.Inodes })},
	{"container_fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", gauge, nil,
		layer(func(d *pod.DiskUsage) uint64 { return d.Capacity })},
	{"container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", gauge, nil,
		layer(func(d *pod.DiskUsage) uint64 { return d.Used })},
	{"container_fs_reads_bytes_total", "Cumulative count of bytes read", counter, nil, device(func(d pod.IOUsage) uint64 { return d.ReadBytes })},
	{"container_fs_reads_total", "Cumulative count of reads completed", counter, nil, device(func(d pod.IOUsage) uint64 { return d.Reads })},
	{"container_fs_writes_bytes_total", "Cumulative count of bytes written", counter, nil, device(func(d pod.IOUsage) uint64 { return d.WrittenBytes })},
	{"container_fs_writes_total", "Cumulative count of writes completed", counter, nil, device(func(d pod.IOUsage) uint64 { return d.Writes })},
	{"container_blkio_device_usage_total", "Blkio Device bytes usage", counter, nil, blkio},
}

func blkio(r *row, tell func(float64, string)) {
	for _, d := range r.group.IO {
		major, minor := strconv.FormatUint(uint64(d.Major), 10), strconv.FormatUint(uint64(d.Minor), 10)
		tell(float64(d.ReadBytes), label("device", d.Device, "major", major, "minor", minor, "operation", "Read"))
		tell(float64(d.WrittenBytes), label("device", d.Device, "major", major, "minor", minor, "operation", "Write"))
	}
}

func network(value func(pod.InterfaceUsage) uint64) func(*row, func(float64, string)) {
	return func(r *row, tell func(float64, string)) {
		for _, i := range r.network {
			tell(float64(value(i)), label("interface", i.Name))
		}
	}
}

var networkMetrics = []cadvisorMetric{
	{"container_network_receive_bytes_total", "Cumulative count of bytes received", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.ReceivedBytes })},
	{"container_network_receive_packets_total", "Cumulative count of packets received", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.ReceivedPackets })},
	{"container_network_receive_packets_dropped_total", "Cumulative count of packets dropped while receiving", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.ReceiveDrops })},
	{"container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.ReceiveErrors })},
	{"container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.SentBytes })},
	{"container_network_transmit_packets_total", "Cumulative count of packets transmitted", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.SentPackets })},
	{"container_network_transmit_packets_dropped_total", "Cumulative count of packets dropped while transmitting", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.SendDrops })},
	{"container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", counter, nil,
		network(func(i pod.InterfaceUsage) uint64 { return i.SendErrors })},
}

func processes(value func(pod.ProcessUsage) uint64) func(*row) (float64, bool) {
	return func(r *row) (float64, bool) { return float64(value(r.group.Processes)), true }
}

var processMetrics = []cadvisorMetric{
	{"container_processes", "Number of processes running inside the container.", gauge, processes(func(p pod.ProcessUsage) uint64 { return p.Processes }), nil},
	{"container_file_descriptors", "Number of open file descriptors for the container.", gauge, processes(func(p pod.ProcessUsage) uint64 { return p.Files }), nil},
	{"container_sockets", "Number of open sockets for the container.", gauge, processes(func(p pod.ProcessUsage) uint64 { return p.Sockets }), nil},
	{"container_threads_max", "Maximum number of threads allowed inside the container, infinity if value is zero", gauge,
		processes(func(p pod.ProcessUsage) uint64 { return p.MaxThreads }), nil},
	{"container_threads", "Number of threads running inside the container", gauge, processes(func(p pod.ProcessUsage) uint64 { return p.Threads }), nil},
	{"container_ulimits_soft", "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice", gauge, nil,
		func(r *row, tell func(float64, string)) {
			if n := r.group.Processes.MaxFiles; n != 0 {
				tell(float64(n), `ulimit="max_open_files"`)
			}
		}},
}

// stalled and waited are how long all processes, or any, stood still for want
// of something.
func stalled(of func(*pod.CgroupUsage) *pod.Pressure) func(*row) (float64, bool) {
	return pressure(of, func(p *pod.Pressure) time.Duration { return p.Full.Total })
}

func waited(of func(*pod.CgroupUsage) *pod.Pressure) func(*row) (float64, bool) {
	return pressure(of, func(p *pod.Pressure) time.Duration { return p.Some.Total })
}

func pressure(of func(*pod.CgroupUsage) *pod.Pressure, total func(*pod.Pressure) time.Duration) func(*row) (float64, bool) {
	return func(r *row) (float64, bool) {
		p := of(r.group)
		if p == nil {
			return 0, false
		}
		return seconds(total(p)), true
	}
}

func cpuPressure(g *pod.CgroupUsage) *pod.Pressure    { return g.CPUPressure }
func memoryPressure(g *pod.CgroupUsage) *pod.Pressure { return g.MemoryPressure }
func ioPressure(g *pod.CgroupUsage) *pod.Pressure     { return g.IOPressure }

var pressureMetrics = []cadvisorMetric{
	{"container_pressure_cpu_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to CPU congestion.", counter, stalled(cpuPressure), nil},
	{"container_pressure_cpu_waiting_seconds_total", "Total time duration tasks in the container have waited due to CPU congestion.", counter, waited(cpuPressure), nil},
	{"container_pressure_memory_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to memory congestion.", counter, stalled(memoryPressure), nil},
	{"container_pressure_memory_waiting_seconds_total", "Total time duration tasks in the container have waited due to memory congestion.", counter, waited(memoryPressure), nil},
	{"container_pressure_io_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to IO congestion.", counter, stalled(ioPressure), nil},
	{"container_pressure_io_waiting_seconds_total", "Total time duration tasks in the container have waited due to IO congestion.", counter, waited(ioPressure), nil},
}

// tellMachine writes what there is to use.
func tellMachine(e *exposition, m pod.Machine) {
	e.metric("cadvisor_version_info", "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.", gauge)
	e.sample(1, "", label("cadvisorRevision", "", "cadvisorVersion", "", "dockerVersion", "", "kernelVersion", m.Kernel, "osVersion", m.OS))
	labels := label("boot_id", m.BootID, "machine_id", m.ID, "system_uuid", m.SystemUUID)
	for _, one := range []struct {
		name, help string
		value      float64
	}{
		{"machine_cpu_cores", "Number of logical CPU cores.", float64(m.Cores)},
		{"machine_cpu_physical_cores", "Number of physical CPU cores.", float64(m.PhysicalCores)},
		{"machine_cpu_sockets", "Number of CPU sockets.", float64(m.Sockets)},
		{"machine_memory_bytes", "Amount of memory installed on the machine.", float64(m.Memory)},
		{"machine_swap_bytes", "Amount of swap memory available on the machine.", float64(m.Swap)},
	} {
		e.metric(one.name, one.help, gauge)
		e.sample(one.value, "", labels)
	}
	e.metric("machine_scrape_error", "1 if there was an error while getting machine metrics, 0 otherwise.", gauge)
	e.sample(0, "", "")
}
