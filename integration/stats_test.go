package integration_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// TestWhatPodsUse has one container that keeps a tenth of a processor busy, its
// quota, and one that holds memory, and looks at them in every way there is.
func TestWhatPodsUse(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("burner", "while :; do :; done") + "    resources: {limits: {cpu: 100m}}\n")
	// 24 MiB in a shell's variable, 4 MiB on its disk, 2 MiB in a volume, and a log.
	n.apply(shell("holder", "x=$(dd if=/dev/zero bs=1M count=24 | tr '\\0' x); dd if=/dev/zero of=/big bs=1M count=4; dd if=/dev/zero of=/data/big bs=1M count=2; echo ready; sleep 1000 & wait") +
		"    volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, emptyDir: {}}]\n")
	n.apply(shell("hosted", "sleep 1000", "hostNetwork: true"))
	for _, p := range []string{"burner", "holder", "hosted"} {
		n.ready(p)
	}
	n.logs("ready", "holder")

	n.eventually(30*time.Second, "top tells who is busy", func() error {
		lines := strings.Split(strings.TrimSpace(n.podctl("top", "pods", "--sort-by=cpu", "--no-headers")), "\n")
		if len(lines) != 3 {
			return fmt.Errorf("%q", lines)
		}
		name, milli, _ := topLine(t, lines[0])
		if name != "burner" || milli < 20 || milli > 130 {
			return fmt.Errorf("the busiest is %s", lines[0])
		}
		return nil
	})
	name, _, mib := topLine(t, n.podctl("top", "pod", "holder", "--no-headers"))
	if name != "holder" || mib < 24 || mib > 120 {
		t.Errorf("%s holds %d MiB", name, mib)
	}
	if node := n.podctl("top", "nodes", "--no-headers"); !regexp.MustCompile(`^test-node +\d+m +\d+% +\d+Mi +\d+% *\n$`).MatchString(node) {
		t.Errorf("the node uses %q", node)
	}
	n.pagesOf()
	n.eventually(30*time.Second, "the Summary has all", n.summaryHasAll)
}

// topLine reads "burner   100m   0Mi".
func topLine(t *testing.T, line string) (name string, milli, mib int) {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) != 3 {
		t.Fatalf("line %q", line)
	}
	milli, err1 := strconv.Atoi(strings.TrimSuffix(fields[1], "m"))
	mib, err2 := strconv.Atoi(strings.TrimSuffix(fields[2], "Mi"))
	if err1 != nil || err2 != nil {
		t.Fatalf("line %q", line)
	}
	return fields[0], milli, mib
}

// pagesOf looks at cAdvisor's and the kubelet's page.
func (n *node) pagesOf() {
	n.t.Helper()
	page := fetch(n.t, "http://"+n.metrics+"/metrics/cadvisor")
	for series, least := range map[string]float64{
		`container_cpu_usage_seconds_total\{container="main".*pod="burner",cpu="total"\}`:           0.01,
		`container_cpu_cfs_throttled_periods_total\{container="main".*pod="burner"\}`:               1,
		`container_memory_working_set_bytes\{container="main".*image="[^"]*busybox.*pod="holder"\}`: 24 << 20,
		`container_memory_working_set_bytes\{container="",.*pod="holder"\}`:                         24 << 20,
		`container_memory_working_set_bytes\{container="POD",.*pod="holder"\}`:                      1,
		`container_network_receive_bytes_total\{container="POD".*pod="burner",interface="eth0"\}`:   0,
		`container_processes\{container="main".*pod="burner"\}`:                                     1,
		`container_file_descriptors\{container="main".*pod="burner"\}`:                              1,
		`container_spec_cpu_quota\{container="main".*pod="burner"\}`:                                10_000,
		`container_spec_memory_limit_bytes\{container="main".*pod="burner"\}`:                       0,
		`container_start_time_seconds\{container="main".*pod="burner"\}`:                            1.5e9,
		`container_start_time_seconds\{container="POD".*pod="burner"\}`:                             1.5e9,
		`machine_cpu_cores\{.*\}`:                               1,
		`podd_scrape_collector_success\{collector="cadvisor"\}`: 1,
	} {
		n.value(page, series, least)
	}
	if regexp.MustCompile(`(?m)^container_network.*pod="hosted"`).MatchString(page) {
		n.t.Error("a pod in the host's network has the host's traffic")
	}
	page = fetch(n.t, "http://"+n.metrics+"/metrics/resource")
	for series, least := range map[string]float64{
		`container_cpu_usage_seconds_total\{container="main",namespace="default",pod="burner"\}`: 0.01,
		`pod_memory_working_set_bytes\{namespace="default",pod="holder"\}`:                       24 << 20,
		`node_cpu_usage_seconds_total`: 0.01,
		`resource_scrape_error`:        0,
	} {
		n.value(page, series, least)
	}
}

// value is that of the one series of a page that matches.
func (n *node) value(page, series string, least float64) {
	n.t.Helper()
	found := regexp.MustCompile(`(?m)^`+series+` (\S+)$`).FindAllStringSubmatch(page, -1)
	if len(found) != 1 {
		n.t.Errorf("%d series are %s", len(found), series)
		return
	}
	if v, err := strconv.ParseFloat(found[0][1], 64); err != nil || v < least {
		n.t.Errorf("%s is %v, want at least %v", series, found[0][1], least)
	}
}

// summaryHasAll tells what is missing.
func (n *node) summaryHasAll() error {
	resp, err := poddv1.NewNodeClient(n.dial()).Stats(n.t.Context(), &poddv1.StatsRequest{})
	if err != nil {
		return err
	}
	var s stats.Summary
	if err := json.Unmarshal(resp.GetJson(), &s); err != nil {
		return err
	}
	pods := map[string]stats.PodStats{}
	for _, p := range s.Pods {
		pods[p.PodRef.Name] = p
	}
	holder, hosted := pods["holder"], pods["hosted"]
	if s.Node.NodeName != "test-node" || s.Node.CPU.UsageNanoCores == nil || s.Node.Fs == nil || s.Node.Runtime.ImageFs == nil || *s.Node.Rlimit.NumOfRunningProcesses == 0 {
		return fmt.Errorf("node %s", resp.GetJson()[:500])
	}
	if len(holder.Containers) != 1 || len(holder.VolumeStats) == 0 || holder.Network == nil || holder.Network.Name != "eth0" || hosted.Network != nil || *holder.ProcessStats.ProcessCount < 2 {
		return fmt.Errorf("pods %+v", pods)
	}
	c := holder.Containers[0]
	if c.Rootfs == nil || c.Logs == nil || *c.Rootfs.UsedBytes < 4<<20 || *c.Logs.UsedBytes == 0 || *holder.VolumeStats[0].UsedBytes < 2<<20 || *holder.EphemeralStorage.UsedBytes < 6<<20 {
		return fmt.Errorf("disk: rootfs %+v, logs %+v, volumes %+v", c.Rootfs, c.Logs, holder.VolumeStats)
	}
	return nil
}
